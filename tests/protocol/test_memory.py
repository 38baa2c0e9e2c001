"""What is remembered of a conversation, and of its recording, when it goes from one voice node to another."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.call import Call, CallEvent, Memory, ToolUse, fold, take
from offhook.protocol.call import events as ev
from offhook.protocol.call.memory import remember
from offhook.simulation.call_logs import call_logs


def after(*events: CallEvent) -> Memory:
    memory = Memory()
    for event in events:
        memory = remember(memory, event)
    return memory


def said(role: str, *, interrupted: bool = False) -> ev.Said:
    return ev.Said(role=role, text="x", line=1, began=0, ended=1, interrupted=interrupted)  # type: ignore[arg-type]


KEPT = ev.MindKept(mind="1")
SPOKEN = ev.MindKept(mind="2", unheard=True)
CALLED = ev.ToolCalled(id="c:1", name="book", arguments="{}")


def test_words_are_unheard_until_a_line_was_played_to_its_end() -> None:
    assert after(SPOKEN).unheard
    assert after(SPOKEN, said("caller"), said("agent", interrupted=True), KEPT).unheard
    assert not after(SPOKEN, said("agent")).unheard
    assert not after(SPOKEN, said("agent"), KEPT).unheard
    assert after(SPOKEN, said("agent"), SPOKEN).unheard
    assert (after(SPOKEN).greeted, after(said("caller")).greeted, after(said("agent")).greeted) == (False, False, True)


def test_a_use_is_remembered_until_a_mind_is_kept_that_knows_its_outcome() -> None:
    unknown = ToolUse(id="c:1", name="book")
    assert after(KEPT, CALLED).since == (unknown,)
    # What is kept while the tool runs knows nothing of its outcome.
    assert after(KEPT, CALLED, KEPT).since == (unknown,)
    for returned in (ev.ToolReturned(id="c:1", result="{}"), ev.ToolReturned(id="c:1", error="closed")):
        known = msgspec.structs.replace(unknown, result=returned.result, error=returned.error)
        assert after(KEPT, CALLED, returned).since == (known,)
        assert after(KEPT, CALLED, returned, KEPT).since == ()


@given(st.lists(st.sampled_from([KEPT, SPOKEN, CALLED, said("agent"), ev.ToolReturned(id="c:1", result="1")])))
def test_uses_are_counted_and_the_newest_mind_counts(events: list[CallEvent]) -> None:
    memory = after(*events)
    minds = [event.mind for event in events if isinstance(event, ev.MindKept)]
    assert memory.uses == events.count(CALLED)
    assert memory.mind == (minds[-1] if minds else "")
    assert len(memory.since) <= memory.uses


@given(call_logs())
def test_each_file_of_a_recording_is_named_once_and_saved_on_its_own(entries: list[ev.LogEntry]) -> None:
    call = Call(id="c")
    for entry in entries:
        before, (call, _) = call, take(call, entry.event, entry.at)
        event = entry.event
        if isinstance(event, ev.RecordingBegan | ev.RecordingSaved):
            assert call.recording is not None
            known = before.recording.keys if before.recording else ()
            saved = isinstance(event, ev.RecordingSaved)
            assert call.recording.keys == (known if event.key in known or (saved and known) else (*known, event.key))
        else:
            assert call.recording == before.recording
    recording = fold("c", entries).recording
    if recording is None:
        return
    for part in (recording, *recording.more):
        told = [e.event for e in entries if isinstance(e.event, ev.RecordingBegan | ev.RecordingSaved)]
        last = [event for event in told if event.key == part.key][-1]
        if isinstance(last, ev.RecordingSaved):
            assert (part.seconds, part.size, part.failure) == (last.seconds, last.size, last.failure)
