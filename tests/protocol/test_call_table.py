"""The call's table, pair by pair and rule by rule (covers X3).

The rules come first: they say what must hold whatever the rows are. The matrix after them says what the rows are, in
words that were written down without looking into the table; whoever changes a row changes it here too.
"""

import msgspec
import pytest
from call_samples import ENTERED, call_in, event_for

from offhook.protocol.call import (
    EVENTS,
    LIVING,
    TIMEOUTS,
    Call,
    CallEvent,
    CallState,
    DoubleLine,
    EndReason,
    NoEdge,
    OtherNode,
    StaleTimer,
    deadline,
    step,
)
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev

State = CallState
WITH_MEDIA = LIVING - {State.CREATED, State.ENDING}
PAIRS = [pytest.param(state, kind, id=f"{state.value}-{kind.__name__}") for state in State for kind in EVENTS]
NOW = ENTERED + 1


def follow(call: Call, event: CallEvent) -> tuple[Call, list[type[do.Effect]]] | None:
    """What the call becomes and the kinds of effects; None where there is no row."""
    try:
        after, effects = step(call, event, NOW)
    except NoEdge:
        return None
    return after, [type(effect) for effect in effects]


def ways_out(state: CallState) -> list[tuple[CallEvent, Call, list[type[do.Effect]]]]:
    """Every step that leads from ``state`` to another."""
    found = []
    for left in (State.ANSWERED, State.HELD):
        call = call_in(state, left=left)
        for kind in EVENTS:
            event = event_for(call, kind)
            followed = follow(call, event)
            if followed is not None and followed[0].state is not state:
                found.append((event, *followed))
    return found


# ── rules ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", sorted(LIVING))
def test_every_living_state_has_a_timeout(state: CallState) -> None:
    until = deadline(call_in(state))
    assert until is not None and until > 0
    assert follow(call_in(state), event_for(call_in(state), ev.TimedOut)) is not None


@pytest.mark.parametrize("state", sorted(LIVING))
def test_timeouts_alone_lead_to_the_end(state: CallState) -> None:
    call, steps = call_in(state), 0
    while call.state is not State.ENDED:
        followed = follow(call, event_for(call, ev.TimedOut))
        assert followed is not None
        call, steps = followed[0], steps + 1
        assert steps <= 2
    assert call.reason is not None


def test_an_ended_call_has_no_timeout() -> None:
    assert deadline(call_in(State.ENDED)) is None
    assert set(TIMEOUTS) == LIVING - {State.ANSWERED}


@pytest.mark.parametrize("kind", EVENTS)
def test_nothing_leaves_ended(kind: type[ev.Event]) -> None:
    call = call_in(State.ENDED)
    with pytest.raises(NoEdge):
        step(call, event_for(call, kind), NOW)


@pytest.mark.parametrize("state", sorted(WITH_MEDIA))
def test_every_way_from_a_state_with_media_to_the_end_passes_ending(state: CallState) -> None:
    targets = {after.state for _, after, _ in ways_out(state)}
    assert State.ENDING in targets
    assert State.ENDED not in targets
    assert State.CREATED not in targets


def test_ending_leads_to_ended_alone() -> None:
    assert {after.state for _, after, _ in ways_out(State.ENDING)} == {State.ENDED}


def reachable(start: CallState) -> set[CallState]:
    reached = {start}
    while new := {after.state for state in reached for _, after, _ in ways_out(state)} - reached:
        reached |= new
    return reached


def test_no_state_is_out_of_reach() -> None:
    assert reachable(State.CREATED) == set(State)


def test_a_call_on_hold_or_without_media_can_always_be_answered_again() -> None:
    for state in (State.HELD, State.RECONNECTING):
        assert reachable(state) == {State.ANSWERED, State.HELD, State.RECONNECTING, State.ENDING, State.ENDED}


@pytest.mark.parametrize("state", sorted(LIVING))
def test_whoever_goes_to_ending_stops_the_agent_last_and_says_why(state: CallState) -> None:
    for event, after, effects in ways_out(state):
        if after.state is State.ENDING:
            assert effects[-1] is do.StopAgent, event
            assert effects[:-1] in ([], [do.SendError]), event
            assert after.reason is not None
            assert (do.SendError in effects) == (after.reason is EndReason.FAILED)


@pytest.mark.parametrize("state", [State.CREATED, State.ENDING])
def test_whoever_goes_to_ended_announces_it_and_lets_the_socket_go(state: CallState) -> None:
    for _, after, effects in ways_out(state):
        if after.state is State.ENDED:
            assert effects[-2:] == [do.Announce, do.EndSignaling]
            assert after.reason is not None


@pytest.mark.parametrize("state", sorted(WITH_MEDIA))
@pytest.mark.parametrize("kind", [ev.CallerHungUp, ev.ShutDown, ev.AgentFailed, ev.MediaFailed, ev.TimedOut])
def test_what_ends_a_call_ends_it_wherever_it_is(state: CallState, kind: type[ev.Event]) -> None:
    call = call_in(state)
    after, _ = step(call, event_for(call, kind), NOW)
    assert after.state is State.ENDING


@pytest.mark.parametrize("state", sorted(LIVING))
def test_every_change_the_caller_can_see_is_announced(state: CallState) -> None:
    for event, after, effects in ways_out(state):
        if after.state not in {State.CONNECTING, State.ENDING}:
            assert effects.count(do.Announce) == 1, event


@pytest.mark.parametrize("state", [State.ANSWERED, State.HELD, State.RECONNECTING, State.ENDING])
def test_a_line_is_never_lost_where_an_agent_can_report_one(state: CallState) -> None:
    call = call_in(state)
    after, effects = step(call, event_for(call, ev.Said), NOW)
    assert after.state is state and after.lines == call.lines + 1
    assert [type(effect) for effect in effects] == [do.Announce]


@pytest.mark.parametrize("state", [State.ANSWERED, State.HELD, State.RECONNECTING, State.ENDING])
@pytest.mark.parametrize("line", [1, 2, 4])
def test_a_line_that_is_not_the_next_is_refused(state: CallState, line: int) -> None:
    call = call_in(state)
    with pytest.raises(DoubleLine):
        step(call, ev.Said(role="agent", text="", line=line, began=0, ended=0), NOW)


@pytest.mark.parametrize("state", sorted(LIVING))
def test_stale_timers_are_refused(state: CallState) -> None:
    call = call_in(state)
    other = State.HELD if state is not State.HELD else State.ANSWERED
    for stale in (
        ev.TimedOut(state=state, epoch=call.epoch - 1),
        ev.TimedOut(state=state, epoch=call.epoch + 1),
        ev.TimedOut(state=other, epoch=call.epoch),
    ):
        with pytest.raises(StaleTimer):
            step(call, stale, NOW)


@pytest.mark.parametrize("state", sorted(WITH_MEDIA))
def test_the_loss_of_another_voice_node_changes_nothing(state: CallState) -> None:
    for call in (call_in(state), msgspec.structs.replace(call_in(state), node=None)):
        with pytest.raises(OtherNode):
            step(call, ev.VoiceLost(node="voice-2"), NOW)


def test_a_call_without_an_offer_has_no_voice_node_to_lose() -> None:
    call = msgspec.structs.replace(call_in(State.CREATED), node="voice-1")
    assert follow(call, ev.VoiceLost(node="voice-1")) is None


def test_nobody_is_connected_while_there_is_no_voice_node() -> None:
    with pytest.raises(OtherNode):
        step(msgspec.structs.replace(call_in(State.RECONNECTING), node=None), ev.MediaConnected(), NOW)


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_a_step_is_pure_and_an_epoch_is_one_state(state: CallState, kind: type[ev.Event]) -> None:
    call, same = call_in(state), call_in(state)
    event = event_for(call, kind)
    first, second = follow(call, event), follow(call, event)
    assert first == second
    assert call == same
    if first is not None:
        changed = first[0].state is not state
        assert first[0].epoch == call.epoch + changed
        assert first[0].entered_at == (NOW if changed else ENTERED)


# ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Where each event leads from each state; a dot where nothing happens. "back" is the state left for reconnecting.
MATRIX = """
                created     connecting  ringing     answered      held          reconnecting  ending      ended
Offered         connecting  .           .           .             .             .             .           .
OfferRepeated   .           connecting  ringing     answered      held          .             .           .
MediaPrepared   .           connecting  .           answered      held          reconnecting  ending      .
OfferAnswered   .           connecting  .           .             .             .             .           .
MediaConnected  .           ringing     .           .             .             back          .           .
MediaLost       .           .           ending      reconnecting  reconnecting  .             .           .
MediaFailed     .           ending      ending      ending        ending        ending        .           .
MediaClosed     .           .           .           .             .             .             ended       .
VoiceLost       .           ending      ending      reconnecting  reconnecting  reconnecting  .           .
AgentAnswered   .           .           answered    .             .             .             .           .
AgentCompleted  .           .           .           ending        .             ending        .           .
AgentFailed     .           ending      ending      ending        ending        ending        .           .
AgentStopped    .           .           .           .             .             .             ending      .
Said            .           .           .           answered      held          reconnecting  ending      .
FloorPassed     .           .           .           answered      held          reconnecting  .           .
InfoSent        .           .           .           answered      .             .             .           .
ToolCalled      .           .           .           answered      .             .             .           .
ToolReturned    .           .           .           answered      held          reconnecting  ending      .
MindKept        .           .           .           answered      held          reconnecting  .           .
RecordingBegan  .           .           ringing     answered      held          reconnecting  ending      .
RecordingSaved  .           .           .           answered      held          reconnecting  ending      .
AudioMeasured   .           .           .           answered      held          reconnecting  ending      .
CallHeld        .           .           .           held          .             .             .           .
CallResumed     .           .           .           .             answered      .             .           .
CallerHungUp    ended       ending      ending      ending        ending        ending        .           .
OperatorHungUp  .           ending      ending      ending        ending        ending        .           .
CallerDropped   ended       ending      ending      answered      held          reconnecting  .           .
CallerReturned  .           .           ringing     answered      held          reconnecting  .           .
Reoffered       .           .           .           answered      held          reconnecting  .           .
ReofferRefused  .           .           .           answered      held          reconnecting  .           .
ShutDown        ended       ending      ending      ending        ending        ending        .           .
TimedOut        ended       ending      ending      ending        ending        ending        ended       .
"""

#: What follows, by event and state; nothing where a pair is not listed.
FOLLOWS = """
Offered         created                                OpenMedia
OfferRepeated   connecting ringing answered held       SendAnswer
MediaPrepared   connecting answered held reconnecting  SendAnswer
OfferAnswered   connecting                             TakeAnswer
MediaPrepared   ending                                 StopAgent
MediaConnected  connecting                             RingAgent Announce
MediaConnected  reconnecting                           ResumeAgent Announce
MediaLost       ringing                                StopAgent
MediaLost       answered                               HoldAgent Announce
MediaLost       held                                   Announce
MediaFailed     connecting ringing answered held       SendError StopAgent
MediaFailed     reconnecting                           StopAgent
MediaClosed     ending                                 Announce EndSignaling
VoiceLost       connecting ringing                     SendError StopAgent
VoiceLost       answered held reconnecting             CloseMedia Announce
AgentAnswered   ringing                                StartAgent Announce
AgentCompleted  answered reconnecting                  StopAgent
AgentFailed     connecting ringing answered held       SendError StopAgent
AgentFailed     reconnecting                           SendError StopAgent
AgentStopped    ending                                 CloseMedia
Said            answered held reconnecting ending      Announce
FloorPassed     answered                               Announce
InfoSent        answered                               Announce
CallHeld        answered                               HoldAgent HoldMedia Announce
CallResumed     held                                   ResumeMedia ResumeAgent Announce
CallerHungUp    created                                Announce EndSignaling
CallerHungUp    connecting ringing answered held       StopAgent
CallerHungUp    reconnecting                           StopAgent
OperatorHungUp  connecting ringing answered held       StopAgent
OperatorHungUp  reconnecting                           StopAgent
CallerDropped   created                                Announce EndSignaling
CallerDropped   connecting ringing                     StopAgent
CallerReturned  ringing answered held reconnecting     LeaveSocket
Reoffered       answered held reconnecting             ReopenMedia
ReofferRefused  answered held reconnecting             SendError
ShutDown        created                                Announce EndSignaling
ShutDown        connecting ringing answered held       StopAgent
ShutDown        reconnecting                           StopAgent
TimedOut        created                                Announce EndSignaling
TimedOut        connecting                             SendError StopAgent
TimedOut        ringing answered held reconnecting     StopAgent
TimedOut        ending                                 CloseMedia Announce EndSignaling
"""

#: Why a call ends, by event; for some by state too.
REASONS = {
    "CallerHungUp": "caller_hangup",
    "OperatorHungUp": "operator_hangup",
    "CallerDropped": "lost",
    "ShutDown": "shutdown",
    "MediaLost": "lost",
    "MediaFailed": "failed",
    "VoiceLost": "failed",
    "AgentFailed": "failed",
    "AgentCompleted": "agent_completed",
    "reconnecting MediaFailed": "lost",
    "created TimedOut": "failed",
    "connecting TimedOut": "failed",
    "ringing TimedOut": "no_answer",
    "answered TimedOut": "max_duration",
    "held TimedOut": "max_duration",
    "reconnecting TimedOut": "lost",
}

SECONDS = {"created": 10, "connecting": 10, "ringing": 30, "held": 600, "reconnecting": 30, "ending": 5}


def read_matrix() -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in MATRIX.strip().splitlines())
    return {(state, event): target for event, *cells in rows for state, target in zip(head, cells, strict=True)}


def read_follows() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for event, *words in (line.split() for line in FOLLOWS.strip().splitlines()):
        effects = [word for word in words if word[0].isupper()]
        found |= {(state, event): effects for state in words if state[0].islower()}
    return found


EXPECTED, AFTERWARDS = read_matrix(), read_follows()


def test_the_matrix_names_every_pair() -> None:
    assert set(EXPECTED) == {(state.value, kind.__name__) for state in State for kind in EVENTS}
    assert set(AFTERWARDS) <= {pair for pair, target in EXPECTED.items() if target != "."}


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_each_pair_does_what_the_matrix_says(state: CallState, kind: type[ev.Event]) -> None:
    pair = (state.value, kind.__name__)
    call = call_in(state)
    followed = follow(call, event_for(call, kind))
    if EXPECTED[pair] == ".":
        assert followed is None
        return
    assert followed is not None
    after, effects = followed
    target = "answered" if EXPECTED[pair] == "back" else EXPECTED[pair]
    assert after.state.value == target
    assert [effect.__name__ for effect in effects] == AFTERWARDS.get(pair, [])
    if call.reason is None and target in {"ending", "ended"}:
        assert after.reason is not None
        assert after.reason.value == REASONS.get(f"{pair[0]} {pair[1]}", REASONS.get(pair[1]))
    else:
        assert after.reason is call.reason


def test_who_was_on_hold_comes_back_to_the_hold() -> None:
    call = call_in(State.RECONNECTING, left=State.HELD)
    followed = follow(call, ev.MediaConnected())
    assert followed is not None
    after, effects = followed
    assert after.state is State.HELD
    assert effects == [do.HoldMedia, do.Announce]


@pytest.mark.parametrize("state", sorted(LIVING - {State.ANSWERED}))
def test_how_long_a_call_may_stay_in_a_state(state: CallState) -> None:
    assert deadline(call_in(state)) == ENTERED + SECONDS[state.value]


def test_a_call_talks_no_longer_than_its_offer_allows() -> None:
    call = call_in(State.ANSWERED)
    assert call.answered_at is not None
    assert deadline(call) == call.answered_at + 300
