"""The turn's table, pair by pair, rule by rule, and along walks (covers A4, X3)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.turn import TIMEOUTS, Do, NoTurnEdge, Turn, TurnState, step
from offhook.protocol.turn import events as tv

State = TurnState
TALKING = set(State) - {State.SILENT}
#: States in which a line of the agent is open: begun and not reported yet.
IN_A_LINE = {State.SPEAKING, State.INTERRUPTED, State.RESUMING}
PAIRS = [pytest.param(state, kind, id=f"{state.value}-{kind.__name__}") for state in State for kind in tv.EVENTS]


def event_for(turn: Turn, kind: type[tv.TurnEvent]) -> Any:
    return tv.TurnTimedOut(state=turn.state, epoch=turn.epoch) if kind is tv.TurnTimedOut else kind()


def follow(turn: Turn, kind: type[tv.TurnEvent]) -> tuple[Turn, tuple[Do, ...]] | None:
    try:
        return step(turn, event_for(turn, kind))
    except NoTurnEdge:
        return None


# ── rules ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", sorted(TALKING))
def test_the_callers_voice_is_always_heard(state: TurnState) -> None:
    followed = follow(Turn(state), tv.VoiceBegan)
    if followed is None:
        assert state is State.HEARING
        return
    after, orders = followed
    assert after.state in {State.HEARING, State.INTERRUPTED}
    assert (after.state is State.INTERRUPTED) == (state in IN_A_LINE)
    assert orders[-1] is Do.OPEN_EAR


@pytest.mark.parametrize("state", sorted(TALKING))
def test_muted_leads_to_silence_from_everywhere(state: TurnState) -> None:
    after, _ = step(Turn(state), tv.Muted())
    assert after.state is State.SILENT


@pytest.mark.parametrize("kind", tv.EVENTS)
def test_only_opened_taken_up_and_unmuted_lead_out_of_silence(kind: type[tv.TurnEvent]) -> None:
    assert (follow(Turn(State.SILENT), kind) is not None) == (kind in {tv.Opened, tv.TakenUp, tv.Unmuted})


@pytest.mark.parametrize("state", sorted(TALKING))
def test_what_the_caller_types_is_thought_about_at_once(state: TurnState) -> None:
    after, orders = step(Turn(state), tv.Typed())
    assert after.state is State.THINKING
    assert orders[-1] is Do.THINK


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_words_begin_and_go_on_only_into_speaking(state: TurnState, kind: type[tv.TurnEvent]) -> None:
    followed = follow(Turn(state), kind)
    if followed is not None:
        after, orders = followed
        assert (Do.SPEAK in orders) == (after.state is State.SPEAKING and state not in IN_A_LINE)
        assert (Do.PAUSE_SPEECH in orders) == (after.state is State.INTERRUPTED and state is not State.INTERRUPTED)
        assert (Do.RESUME_SPEECH in orders) == (after.state is State.RESUMING)


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_a_line_is_reported_once_when_it_is_over(state: TurnState, kind: type[tv.TurnEvent]) -> None:
    followed = follow(Turn(state), kind)
    if followed is not None:
        after, orders = followed
        reports = orders.count(Do.CUT_SPEECH) + orders.count(Do.REPORT_LINE)
        assert reports == (state in IN_A_LINE and after.state not in IN_A_LINE)
        assert (Do.REPORT_LINE in orders) == (reports == 1 and kind is tv.PlaybackEnded)


@pytest.mark.parametrize("state", list(State))
def test_every_state_but_silence_is_left_when_its_time_is_over(state: TurnState) -> None:
    assert (state in TIMEOUTS) == (state in TALKING)
    if state in TALKING:
        assert TIMEOUTS[state] > 0
        after, _ = step(Turn(state, 3), tv.TurnTimedOut(state=state, epoch=3))
        assert after.epoch == 4
        assert after.state is not state or state is State.THINKING


@pytest.mark.parametrize("state", list(State))
def test_stale_timers_are_refused(state: TurnState) -> None:
    other = State.HEARING if state is not State.HEARING else State.SPEAKING
    for stale in (
        tv.TurnTimedOut(state=state, epoch=2),
        tv.TurnTimedOut(state=state, epoch=4),
        tv.TurnTimedOut(state=other, epoch=3),
    ):
        with pytest.raises(NoTurnEdge):
            step(Turn(state, 3), stale)


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_a_step_is_pure_and_an_epoch_is_one_stay_in_a_state(state: TurnState, kind: type[tv.TurnEvent]) -> None:
    turn = Turn(state, 3)
    first, second = follow(turn, kind), follow(turn, kind)
    assert first == second
    assert turn == Turn(state, 3)
    if first is not None:
        stays = first[0].state is state and kind is not tv.TurnTimedOut
        assert first[0].epoch == (3 if stays else 4)


# ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Where each event leads from each state; a dot where nothing happens.
MATRIX = """
                 silent     listening  hearing   thinking   speaking     interrupted  resuming
Opened           thinking   .          .         .          .            .            .
TakenUp          thinking   .          .         .          .            .            .
Unmuted          listening  .          .         .          .            .            .
Muted            .          silent     silent    silent     silent       silent       silent
VoiceBegan       .          hearing    .         hearing    interrupted  interrupted  interrupted
VoiceEnded       .          .          thinking  .          .            interrupted  .
Understood       .          .          .         thinking   .            thinking     .
HeardNothing     .          .          .         listening  .            resuming     .
Typed            .          thinking   thinking  thinking   thinking     thinking     thinking
ReplyBegan       .          .          .         speaking   .            .            .
ReplyWasEmpty    .          .          .         listening  .            .            .
PlaybackEnded    .          .          .         .          listening    .            listening
PlaybackResumed  .          .          .         .          .            .            speaking
TurnTimedOut     .          thinking   thinking  thinking   listening    thinking     listening
"""

#: What follows, by event and state; nothing where a pair is not listed.
FOLLOWS = """
Opened         silent              greet
TakenUp        silent              take_up
Muted          hearing             shut_ear
Muted          thinking            drop_thought
Muted          speaking resuming   cut_speech
Muted          interrupted         shut_ear cut_speech
VoiceBegan     listening           open_ear
VoiceBegan     thinking            drop_thought open_ear
VoiceBegan     speaking resuming   pause_speech open_ear
VoiceBegan     interrupted         open_ear
VoiceEnded     hearing             recognize
VoiceEnded     interrupted         recognize
Understood     thinking            think
Understood     interrupted         cut_speech think
HeardNothing   interrupted         resume_speech
Typed          listening           think
Typed          hearing             shut_ear think
Typed          thinking            drop_thought think
Typed          speaking resuming   cut_speech think
Typed          interrupted         shut_ear cut_speech think
ReplyBegan     thinking            speak
PlaybackEnded  speaking resuming   report_line
TurnTimedOut   listening           prompt
TurnTimedOut   hearing             recognize
TurnTimedOut   thinking            drop_thought apologize
TurnTimedOut   speaking resuming   cut_speech
TurnTimedOut   interrupted         cut_speech recognize
"""

SECONDS = {"listening": 10, "hearing": 30, "thinking": 10, "speaking": 120, "interrupted": 30, "resuming": 2}


def read_matrix() -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in MATRIX.strip().splitlines())
    return {(state, event): target for event, *cells in rows for state, target in zip(head, cells, strict=True)}


def read_follows() -> dict[tuple[str, str], list[str]]:
    states = {state.value for state in State}
    found: dict[tuple[str, str], list[str]] = {}
    for event, *words in (line.split() for line in FOLLOWS.strip().splitlines()):
        orders = [word for word in words if word not in states]
        found |= {(state, event): orders for state in words if state in states}
    return found


EXPECTED, AFTERWARDS = read_matrix(), read_follows()


def test_the_matrix_names_every_pair() -> None:
    assert set(EXPECTED) == {(state.value, kind.__name__) for state in State for kind in tv.EVENTS}
    assert set(AFTERWARDS) <= {pair for pair, target in EXPECTED.items() if target != "."}


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_each_pair_does_what_the_matrix_says(state: TurnState, kind: type[tv.TurnEvent]) -> None:
    pair = (state.value, kind.__name__)
    followed = follow(Turn(state), kind)
    if EXPECTED[pair] == ".":
        assert followed is None
        return
    assert followed is not None
    after, orders = followed
    assert after.state.value == EXPECTED[pair]
    assert [order.value for order in orders] == AFTERWARDS.get(pair, [])


def test_how_long_a_turn_may_stay_in_a_state() -> None:
    assert {state.value: seconds for state, seconds in TIMEOUTS.items()} == SECONDS


# ── walks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Body:
    """Mouth, ear and brain as the orders alone would move them; an order that makes no sense fails."""

    def __init__(self) -> None:
        self.line = self.sounding = self.ear = False
        self.begun = self.reported = 0

    def obey(self, order: Do) -> None:
        match order:
            case Do.SPEAK:
                assert not self.line
                self.line = self.sounding = True
                self.begun += 1
            case Do.PAUSE_SPEECH:
                assert self.sounding
                self.sounding = False
            case Do.RESUME_SPEECH:
                assert self.line and not self.sounding
                self.sounding = True
            case Do.CUT_SPEECH | Do.REPORT_LINE:
                assert self.line
                self.line = self.sounding = False
                self.reported += 1
            case Do.OPEN_EAR:
                self.ear = True
            case Do.RECOGNIZE | Do.SHUT_EAR:
                self.ear = False


@given(st.data())
def test_the_agent_does_not_talk_over_the_caller_and_every_line_is_reported_once(data: st.DataObject) -> None:
    turn, body = Turn(), Body()
    for _ in range(data.draw(st.integers(0, 40))):
        usual = [kind for kind in tv.EVENTS if follow(turn, kind) is not None]
        kind = data.draw(st.sampled_from(usual))
        if kind in {tv.Understood, tv.HeardNothing}:
            # The recognizer can end an utterance by itself, when it breaks down.
            body.ear = False
        followed = follow(turn, kind)
        assert followed is not None
        turn, orders = followed
        for order in orders:
            body.obey(order)
        assert body.line == (turn.state in IN_A_LINE)
        assert body.sounding == (turn.state in {State.SPEAKING, State.RESUMING})
        assert body.ear or turn.state is not State.HEARING
        assert not body.ear or turn.state in {State.HEARING, State.INTERRUPTED}
        assert body.begun == body.reported + body.line
