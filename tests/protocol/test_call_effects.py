"""What the orders of a call carry, and what a call learns from its events."""

import msgspec
import pytest
from call_samples import ENTERED, OFFERED, call_in, event_for

from offhook.protocol.call import Call, CallEffect, CallState, EndReason, answer_due, standing, step
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev

State = CallState
NOW = ENTERED + 60


def effects_of(state: CallState, event: ev.CallEvent) -> list[CallEffect]:
    return step(call_in(state), event, NOW)[1]


def announced(state: CallState, kind: type[ev.Event], *, left: CallState = State.ANSWERED) -> do.Announce:
    call = call_in(state, left=left)
    (announcement,) = (e for e in step(call, event_for(call, kind), NOW)[1] if isinstance(e, do.Announce))
    return announcement


def test_media_opens_with_what_the_caller_offered() -> None:
    call, effects = step(call_in(State.CREATED), OFFERED, NOW)
    assert effects == [
        do.OpenMedia(
            sdp="v=0 offer",
            agent="parrot",
            version="3",
            mode="traditional",
            variables={"name": "Robin"},
            caller="Robin",
        )
    ]
    assert (call.offer, call.created_at) == (OFFERED, NOW)


def test_the_answer_is_sent_when_it_is_there_and_again_when_asked() -> None:
    waiting = Call(id="c", state=State.CONNECTING, offer=OFFERED)
    assert step(waiting, ev.OfferRepeated(), NOW)[1] == []
    prepared, effects = step(waiting, ev.MediaPrepared(sdp="v=0 here", node="voice-2"), NOW)
    assert effects == [do.SendAnswer(sdp="v=0 here")]
    assert (prepared.answer, prepared.node) == ("v=0 here", "voice-2")
    assert step(prepared, ev.OfferRepeated(), NOW)[1] == [do.SendAnswer(sdp="v=0 here")]


def test_an_offer_of_ours_is_sent_and_the_callers_answer_taken() -> None:
    """Covers S2."""
    asked = msgspec.structs.replace(OFFERED, sdp="")
    call, effects = step(call_in(State.CREATED), asked, NOW)
    assert [effect.sdp for effect in effects if isinstance(effect, do.OpenMedia)] == [""]
    prepared, effects = step(call, ev.MediaPrepared(sdp="v=0 ours", node="voice-2"), NOW)
    assert effects == standing(prepared) == [do.SendOffer(sdp="v=0 ours")]
    answered, effects = step(prepared, ev.OfferAnswered(sdp="v=0 theirs"), NOW)
    assert effects == standing(answered) == [do.TakeAnswer(sdp="v=0 theirs")]


def test_media_opens_again_with_the_new_offer() -> None:
    assert effects_of(State.ANSWERED, ev.Reoffered(sdp="v=0 new")) == [do.ReopenMedia(sdp="v=0 new")]


def test_a_call_that_lost_its_voice_node_opens_anywhere_with_the_next_offer() -> None:
    lost, effects = step(call_in(State.ANSWERED), ev.VoiceLost(node="voice-1"), NOW)
    assert effects == [do.CloseMedia(before=2), do.Announce(event="reconnecting")]
    assert (lost.node, lost.answer, lost.opening, standing(lost)) == (None, None, 2, [do.CloseMedia(before=2)])
    call, effects = step(lost, ev.Reoffered(sdp="v=0 new"), NOW)
    (opened,) = effects
    assert isinstance(opened, do.OpenMedia)
    assert (opened.sdp, opened.agent, opened.version, opened.variables) == ("v=0 new", "parrot", "3", OFFERED.variables)
    assert (opened.opening, opened.lines) == (3, 2)
    assert standing(call) == [do.CloseMedia(before=3), *effects]
    prepared, effects = step(call, ev.MediaPrepared(sdp="v=0 there", node="voice-2"), NOW)
    assert (prepared.node, effects, standing(prepared)) == (
        "voice-2", [do.SendAnswer(sdp="v=0 there")], [do.CloseMedia(before=3), do.HoldAgent()],
    )  # fmt: skip
    assert step(prepared, ev.Reoffered(sdp="v=0 newer"), NOW)[1] == [do.ReopenMedia(sdp="v=0 newer")]


@pytest.mark.parametrize("state", [State.ANSWERED, State.HELD, State.RECONNECTING])
def test_a_caller_who_has_offered_before_the_loss_was_known_is_served_at_once(state: CallState) -> None:
    asked, _ = step(call_in(state), ev.Reoffered(sdp="v=0 new"), NOW)
    lost, effects = step(asked, ev.VoiceLost(node="voice-1"), NOW)
    opened = effects[-2]
    assert isinstance(opened, do.OpenMedia)
    assert (opened.sdp, opened.opening) == ("v=0 new", 2)
    assert effects[0] == do.CloseMedia(before=2)
    assert standing(lost) == [do.CloseMedia(before=2), opened]
    assert isinstance(effects[-1], do.Announce)


@pytest.mark.parametrize("state", [State.CONNECTING, State.RINGING])
def test_a_call_that_was_not_answered_ends_with_its_voice_node(state: CallState) -> None:
    call, effects = step(call_in(state), ev.VoiceLost(node="voice-1"), NOW)
    assert isinstance(effects[0], do.SendError)
    assert effects[0].reason == call.failure == "media_failed"


def test_who_answers_an_offer_is_asked_again_with_the_number_of_the_newest() -> None:
    lost, _ = step(call_in(State.ANSWERED), ev.VoiceLost(node="voice-1"), NOW)
    call, openings = lost, []
    for number in range(3):
        call, effects = step(call, ev.Reoffered(sdp=f"v=0 {number}"), NOW)
        openings += [effect.opening for effect in effects if isinstance(effect, do.OpenMedia)]
    assert openings == [3, 4, 5]


@pytest.mark.parametrize("state", [State.ANSWERED, State.HELD, State.RECONNECTING])
def test_a_voice_node_that_does_not_answer_a_new_offer_counts_as_lost_after_two_seconds(state: CallState) -> None:
    asked, _ = step(call_in(state), ev.Reoffered(sdp="v=0 new"), NOW)
    assert (answer_due(call_in(state)), answer_due(asked)) == (None, NOW + 2)
    newer, _ = step(asked, ev.Reoffered(sdp="v=0 newer"), NOW + 1)
    assert answer_due(newer) == NOW + 3
    for event in (
        ev.MediaPrepared(sdp="v=0 here", node="voice-1"),
        ev.ReofferRefused(reason="sdp_invalid", message="No."),
        ev.VoiceLost(node="voice-1"),
        ev.CallerHungUp(),
    ):
        assert answer_due(step(asked, event, NOW + 1)[0]) is None


def test_a_new_offer_that_is_refused_changes_nothing_and_the_caller_is_told() -> None:
    asked, _ = step(call_in(State.ANSWERED), ev.Reoffered(sdp="v=0 new"), NOW)
    call, effects = step(asked, ev.ReofferRefused(reason="sdp_invalid", message="No."), NOW)
    assert effects == [do.SendError(reason="sdp_invalid", message="No.")]
    assert (call.state, call.node, call.reoffer, call.failure) == (State.ANSWERED, "voice-1", None, None)


def test_every_socket_but_the_new_one_is_left() -> None:
    assert effects_of(State.ANSWERED, ev.CallerReturned(socket="two")) == [do.LeaveSocket(to="two")]


@pytest.mark.parametrize(
    ("state", "kind", "event"),
    [
        (State.CONNECTING, ev.MediaConnected, "ringing"),
        (State.RINGING, ev.AgentAnswered, "answered"),
        (State.ANSWERED, ev.CallHeld, "held"),
        (State.HELD, ev.CallResumed, "resumed"),
        (State.ANSWERED, ev.MediaLost, "reconnecting"),
        (State.HELD, ev.MediaLost, "reconnecting"),
        (State.ANSWERED, ev.VoiceLost, "reconnecting"),
        (State.RECONNECTING, ev.VoiceLost, "reconnecting"),
        (State.RECONNECTING, ev.MediaConnected, "resumed"),
        (State.ANSWERED, ev.FloorPassed, "speaking"),
    ],
)
def test_what_is_announced(state: CallState, kind: type[ev.Event], event: str) -> None:
    assert announced(state, kind) == do.Announce(event=event)


def test_who_comes_back_to_a_hold_is_told_so() -> None:
    assert announced(State.RECONNECTING, ev.MediaConnected, left=State.HELD) == do.Announce(event="held")


def test_a_line_is_announced_with_all_that_is_known_of_it() -> None:
    said = ev.Said(role="agent", text="hello", line=3, began=1, ended=2, interrupted=True)
    data: dict[str, do.Scalar] = {"role": "agent", "text": "hello", "line": 3, "interrupted": True}
    assert effects_of(State.ANSWERED, said) == [do.Announce(event="transcript", data=data)]


def test_info_for_the_page() -> None:
    info = ev.InfoSent(name="mood", data='"happy"')
    data: dict[str, do.Scalar] = {"name": "mood", "data": '"happy"'}
    assert effects_of(State.ANSWERED, info) == [do.Announce(event="info", data=data)]


def test_the_end_is_announced_with_its_reason_and_duration() -> None:
    call = call_in(State.ENDING)
    _, effects = step(call, ev.MediaClosed(), NOW)
    data: dict[str, do.Scalar] = {"reason": "caller_hangup", "duration": 50.0}
    assert effects == [do.Announce(event="ended", data=data), do.EndSignaling(reason="caller_hangup")]


def test_a_failure_is_told_to_the_caller_and_kept_to_the_end() -> None:
    call, effects = step(call_in(State.ANSWERED), ev.AgentFailed(reason="agent_failed", message="It broke."), NOW)
    assert effects[0] == do.SendError(reason="agent_failed", message="It broke.")
    assert (call.reason, call.failure) == (EndReason.FAILED, "agent_failed")
    _, effects = step(call, ev.MediaClosed(), NOW + 1)
    assert isinstance(effects[0], do.Announce)
    assert effects[0].data == {"reason": "failed", "failure": "agent_failed", "duration": 110.0}


def test_audio_that_never_came_up_is_a_media_timeout() -> None:
    call = call_in(State.CONNECTING)
    after, effects = step(call, ev.TimedOut(state=call.state, epoch=call.epoch), NOW)
    assert isinstance(effects[0], do.SendError)
    assert effects[0].reason == after.failure == "media_timeout"


def test_the_agent_says_why_it_completed() -> None:
    call, _ = step(call_in(State.ANSWERED), ev.AgentCompleted(reason=EndReason.TRANSFERRED), NOW)
    assert call.reason is EndReason.TRANSFERRED


def test_the_state_that_was_left_for_reconnecting_is_known() -> None:
    for state in (State.ANSWERED, State.HELD):
        assert step(call_in(state), ev.MediaLost(), NOW)[0].left is state
        assert step(call_in(state), ev.VoiceLost(node="voice-1"), NOW)[0].left is state
    gone = call_in(State.RECONNECTING, left=State.HELD)
    assert step(gone, ev.VoiceLost(node="voice-1"), NOW)[0].left is State.HELD


def test_a_call_that_was_never_answered_lasted_no_time() -> None:
    call, _ = step(call_in(State.RINGING), ev.CallerHungUp(), NOW)
    assert call.duration == 0
    assert call.ended_at == NOW
