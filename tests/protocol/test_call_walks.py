"""Walks along the call's table: what holds at every step of any call (covers X3, X6)."""

from call_samples import event_for
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.call import (
    EVENTS,
    Call,
    CallEffect,
    CallState,
    LogEntry,
    NoEdge,
    deadline,
    fold,
    step,
)
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev

State = CallState
START = 1_000.0
OVER = {State.ENDING, State.ENDED}


class Walk:
    """One call as it is walked, with what the other actors would know from their orders alone."""

    def __init__(self) -> None:
        self.calls = [Call(id="c")]
        self.log: list[LogEntry] = []
        self.effects: list[list[CallEffect]] = []
        self.agent = "idle"
        self.media = "none"
        self.opening = 0
        self.closed = 0
        self.told: list[str] = []

    @property
    def call(self) -> Call:
        return self.calls[-1]

    def take(self, event: ev.CallEvent, at: float) -> None:
        after, effects = step(self.call, event, at)
        self.calls.append(after)
        self.effects.append(effects)
        self.log.append(LogEntry(call="c", seq=len(self.log) + 1, at=at, owner=1, event=event))
        for effect in effects:
            self._post(effect)

    def _post(self, effect: CallEffect) -> None:
        match effect:
            case do.RingAgent():
                assert self.agent == "idle"
                self.agent = "rung"
            case do.StartAgent():
                assert self.agent == "rung"
                self.agent = "talking"
            case do.ResumeAgent():
                assert self.agent == "muted"
                self.agent = "talking"
            case do.HoldAgent():
                assert self.agent == "talking"
                self.agent = "muted"
            case do.StopAgent():
                self.agent = "stopped"
            case do.OpenMedia(opening=opening):
                assert opening > self.opening
                self.opening = opening
                self.media = "open"
            case do.HoldMedia():
                self.media = "held"
            case do.ResumeMedia():
                assert self.media == "held"
                self.media = "open"
            case do.CloseMedia(before=before) if before:
                self.agent = "muted"
            case do.CloseMedia():
                assert self.agent == "stopped"
                self.media = "closed"
            case do.Announce(event=event):
                self.told.append(event)
            case do.EndSignaling():
                self.closed += 1


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    """Up to sixty events the table has rows for, few of them such that the call ends; the clock never goes back."""
    walk, at = Walk(), START
    for _ in range(draw(st.integers(0, 60))):
        at += draw(st.floats(0, 5))
        events = [event_for(walk.call, kind) for kind in EVENTS]
        usual = [event for event in events if (target := _target(walk.call, event)) and target not in OVER]
        ending = [event for event in events if _target(walk.call, event) in OVER]
        if not usual + ending:
            break
        walk.take(draw(st.sampled_from(usual * 30 + ending if usual else ending)), at)
    return walk


def _target(call: Call, event: ev.CallEvent) -> CallState | None:
    try:
        return step(call, event, START)[0].state
    except NoEdge:
        return None


def run_out(walk: Walk) -> None:
    """Let nothing happen any more but timeouts."""
    while (until := deadline(walk.call)) is not None:
        walk.take(ev.TimedOut(state=walk.call.state, epoch=walk.call.epoch), until)


@given(walks())
def test_an_agent_talks_in_an_answered_call_and_only_there(walk: Walk) -> None:
    assert (walk.agent == "talking") == (walk.call.state is State.ANSWERED)
    if walk.call.state in OVER and walk.call.offer is not None:
        assert walk.agent == "stopped"


@given(walks())
def test_a_caller_on_hold_hears_hold_audio_and_one_in_conversation_does_not(walk: Walk) -> None:
    if walk.call.state is State.HELD:
        assert walk.media == "held"
    if walk.call.state is State.ANSWERED:
        assert walk.media == "open"


@given(walks())
def test_what_is_left_alone_ends_within_two_timeouts_and_leaves_nothing_open(walk: Walk) -> None:
    steps = len(walk.log)
    run_out(walk)
    assert len(walk.log) <= steps + 2
    assert walk.call.state is State.ENDED
    assert walk.closed == 1
    assert walk.told[-1] == "ended" and walk.told.count("ended") == 1
    if walk.call.offer is not None:
        assert walk.agent == "stopped"


@given(walks())
def test_there_is_one_end_with_one_reason_and_its_times_are_in_order(walk: Walk) -> None:
    run_out(walk)
    assert [call.state for call in walk.calls].count(State.ENDED) == 1
    for before, after in zip(walk.calls, walk.calls[1:], strict=False):
        assert (after.reason is not None) == (after.state in OVER)
        assert (after.ended_at is not None) == (after.state in OVER)
        assert (after.epoch - before.epoch) == (after.state is not before.state)
        assert before.reason in {None, after.reason}
        assert before.answered_at in {None, after.answered_at}
        assert before.ended_at in {None, after.ended_at}
        assert before.state is not State.ENDED
    end = walk.call
    assert end.ended_at is not None
    if end.answered_at is not None:
        assert end.created_at <= end.answered_at <= end.ended_at
        assert end.duration == end.ended_at - end.answered_at
    else:
        assert end.duration == 0


@given(walks())
def test_a_call_is_answered_once_and_announced_so(walk: Walk) -> None:
    talked = any(call.state is State.ANSWERED for call in walk.calls)
    assert (walk.call.answered_at is not None) == talked
    assert walk.told.count("answered") == talked
    assert walk.told.count("resumed") == _changes(walk, State.HELD, State.ANSWERED) + _changes(
        walk, State.RECONNECTING, State.ANSWERED
    )


def _changes(walk: Walk, source: CallState, target: CallState) -> int:
    pairs = zip(walk.calls, walk.calls[1:], strict=False)
    return sum(before.state is source and after.state is target for before, after in pairs)


@given(walks())
def test_lines_are_numbered_without_gaps_and_each_is_announced_once(walk: Walk) -> None:
    lines = [entry.event.line for entry in walk.log if isinstance(entry.event, ev.Said)]
    assert lines == list(range(1, walk.call.lines + 1))
    assert walk.told.count("transcript") == walk.call.lines


@given(walks())
def test_folding_the_log_gives_the_call(walk: Walk) -> None:
    for length in range(len(walk.log) + 1):
        assert fold("c", walk.log[:length]) == walk.calls[length]


@given(walks())
def test_each_answer_that_is_sent_is_the_latest(walk: Walk) -> None:
    for after, effects in zip(walk.calls[1:], walk.effects, strict=True):
        assert all(effect.sdp == after.answer for effect in effects if isinstance(effect, do.SendAnswer))
