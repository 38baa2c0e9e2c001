"""The record of a call agrees with its log, however the log is delivered."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.protocol.call import Call, CallState, EndReason, LogEntry, events, fold
from offhook.protocol.record import (
    CallRecord,
    OutOfOrder,
    Progress,
    StateEntered,
    TranscriptLine,
    advance,
    complete,
    fold_record,
    summarize,
)
from offhook.simulation.call_logs import call_logs

CALL = "6f1c2d3e-0000-4000-8000-000000000001"


def log_of(*steps: tuple[float, events.CallEvent]) -> list[LogEntry]:
    return [LogEntry(call=CALL, seq=seq, at=at, owner=1, event=event) for seq, (at, event) in enumerate(steps, 1)]


OFFER = events.Offered(
    agent="front-desk", version="3", workspace="main", sdp="v=0", mode="traditional", metadata={"page": "/buy"}
)


def said(line: int, role: str, text: str, at: float, *, interrupted: bool = False) -> events.Said:
    return events.Said(role=role, text=text, line=line, began=at - 1, ended=at, interrupted=interrupted)  # type: ignore[arg-type]


def test_a_whole_call() -> None:
    record = fold_record(
        CALL,
        log_of(
            (100.0, OFFER),
            (100.5, events.MediaPrepared(sdp="v=0", node="voice-1")),
            (101.0, events.MediaConnected()),
            (101.5, events.AgentAnswered()),
            (104.0, said(1, "agent", "Hello", 104.0, interrupted=True)),
            (106.0, said(2, "caller", "Hi", 106.0)),
            (111.5, events.CallerHungUp()),
            (111.6, events.AgentStopped()),
            (111.7, events.MediaClosed()),
        ),
    )
    assert record == CallRecord(
        id=CALL,
        channel="web",
        state=CallState.ENDED,
        reason=EndReason.CALLER_HANGUP,
        agent="front-desk",
        version="3",
        workspace="main",
        mode="traditional",
        metadata={"page": "/buy"},
        created_at=100.0,
        answered_at=101.5,
        ended_at=111.5,
        duration=10.0,
        states=(
            StateEntered(CallState.CONNECTING, 100.0, "Offered"),
            StateEntered(CallState.RINGING, 101.0, "MediaConnected"),
            StateEntered(CallState.ANSWERED, 101.5, "AgentAnswered"),
            StateEntered(CallState.ENDING, 111.5, "CallerHungUp"),
            StateEntered(CallState.ENDED, 111.7, "MediaClosed"),
        ),
        transcript=(
            TranscriptLine(1, "agent", "Hello", 103.0, 104.0, True),
            TranscriptLine(2, "caller", "Hi", 105.0, 106.0, False),
        ),
    )


def test_a_web_call_has_no_phone_number() -> None:
    document = msgspec.to_builtins(fold_record(CALL, log_of((1.0, OFFER))))
    assert not [name for name in document if "phone" in name or "number" in name]


def test_a_caller_who_left_before_offering_leaves_a_record() -> None:
    record = fold_record(CALL, log_of((7.0, events.CallerDropped())))
    assert (record.state, record.reason, record.agent) == (CallState.ENDED, EndReason.LOST, None)
    assert (record.created_at, record.ended_at, record.duration) == (7.0, 7.0, 0.0)


def test_an_entry_without_a_row_is_passed_over() -> None:
    record = fold_record(CALL, log_of((1.0, OFFER), (2.0, events.CallResumed()), (3.0, events.MediaConnected())))
    assert [entered.state for entered in record.states] == [CallState.CONNECTING, CallState.RINGING]


def test_a_missing_entry_is_refused_unless_it_is_lost_for_good() -> None:
    first, _, third = log_of((1.0, OFFER), (2.0, events.MediaConnected()), (3.0, events.CallerHungUp()))
    with pytest.raises(OutOfOrder) as caught:
        fold_record(CALL, [first, third])
    assert caught.value.expected == 2
    gained = advance(Progress(call=Call(id=CALL)), first)
    assert gained is not None
    over = advance(gained.progress, third, over_gap=True)
    assert over is not None and over.progress.call.state is CallState.ENDING and over.progress.seq == 3


@settings(deadline=None)
@given(call_logs())
def test_the_record_agrees_with_the_call(entries: list[LogEntry]) -> None:
    record, call = fold_record(CALL, entries), fold(CALL, entries)
    assert (record.state, record.reason, record.failure) == (call.state, call.reason, call.failure)
    assert (record.answered_at, record.ended_at, record.duration) == (call.answered_at, call.ended_at, call.duration)
    assert len(record.states) == call.epoch
    assert [line.line for line in record.transcript] == list(range(1, call.lines + 1))
    if record.states:
        assert record.states[-1].state is record.state
        assert all(a.state is not b.state for a, b in zip(record.states, record.states[1:], strict=False))
    said_texts = [entry.event.text for entry in entries if isinstance(entry.event, events.Said)]
    assert [line.text for line in record.transcript] == said_texts


@settings(deadline=None)
@given(call_logs(), st.data())
def test_doubles_redeliveries_and_crashes_change_nothing(entries: list[LogEntry], data: st.DataObject) -> None:
    """A projector that keeps ``Progress`` between entries, whose deliveries go back to any earlier point."""
    progress, states, lines = Progress(call=Call(id=CALL)), [], []
    position = 0
    while position < len(entries):
        gained = advance(progress, entries[position])
        if gained is not None:
            # What was kept comes back from storage as an equal value.
            progress = msgspec.msgpack.decode(msgspec.msgpack.encode(gained.progress), type=Progress)
            states += [gained.entered] if gained.entered else []
            lines += [gained.line] if gained.line else []
        back = data.draw(st.sampled_from([0, 0, 0, 1, 5]))
        position = max(0, position - back) if back and data.draw(st.booleans()) else position + 1
    assert complete(summarize(progress), states, lines) == fold_record(CALL, entries)
