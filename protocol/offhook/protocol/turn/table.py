"""The table of a turn: who has the floor, what changes it, what the agent does then.

Rules
-----
1. The agent is in one turn state; only a row of ``TABLE`` changes it. No row: nothing happens.
2. The caller always wins: a voice in ``speaking`` stops the agent's words at once, before anything is understood.
   If the recognizer then finds no speech in it, the agent picks its words up again (``resuming``).
3. Words that are cut are cut for good: the transcript gets what was played (``CutSpeech`` reports the line).
4. ``Muted`` leads from everywhere to ``silent``; only ``Opened``, ``TakenUp`` and ``Unmuted`` lead out of it.
5. Every state but ``silent`` has a timeout. In ``listening`` it is the caller's silence, and the brain decides.
"""

from enum import StrEnum

import msgspec

from offhook.protocol.errors import OffhookError
from offhook.protocol.turn import events as ev
from offhook.protocol.turn.states import TurnState as State


class Do(StrEnum):
    """What the agent is to do: orders to ear, brain and mouth."""

    #: Ask the brain for the opening words.
    GREET = "greet"
    #: Ask the brain for the words that go on where an agent that is lost had stopped.
    TAKE_UP = "take_up"
    #: Feed the caller's audio to a new utterance of the recognizer.
    OPEN_EAR = "open_ear"
    #: Drop the utterance that is being heard.
    SHUT_EAR = "shut_ear"
    #: The utterance is whole: ask the recognizer for its words.
    RECOGNIZE = "recognize"
    #: Give the brain what was understood.
    THINK = "think"
    #: Tell the brain that the caller has been silent.
    PROMPT = "prompt"
    #: Forget the answer that is being made; what the caller said joins what comes next.
    DROP_THOUGHT = "drop_thought"
    #: Let the words flow to the caller.
    SPEAK = "speak"
    #: Stop the sound, keep the words that were not played.
    PAUSE_SPEECH = "pause_speech"
    #: Go on with the words that were not played.
    RESUME_SPEECH = "resume_speech"
    #: Drop the words that were not played and report the line as far as it was heard.
    CUT_SPEECH = "cut_speech"
    #: Report the line: it was played to its end.
    REPORT_LINE = "report_line"
    #: The brain took too long: apologize in its place.
    APOLOGIZE = "apologize"


class TurnEdge(msgspec.Struct, frozen=True):
    """One row: the target state and the orders, in order."""

    to: State
    do: tuple[Do, ...] = ()


TurnTable = dict[tuple[State, type[ev.TurnEvent]], TurnEdge]

TABLE: TurnTable = {
    # ── silent ─────────────────────────────────────────────────────────────────────────────────────────────────
    (State.SILENT, ev.Opened): TurnEdge(State.THINKING, (Do.GREET,)),
    (State.SILENT, ev.TakenUp): TurnEdge(State.THINKING, (Do.TAKE_UP,)),
    (State.SILENT, ev.Unmuted): TurnEdge(State.LISTENING),
    # ── listening: nobody speaks ───────────────────────────────────────────────────────────────────────────────
    (State.LISTENING, ev.VoiceBegan): TurnEdge(State.HEARING, (Do.OPEN_EAR,)),
    (State.LISTENING, ev.Typed): TurnEdge(State.THINKING, (Do.THINK,)),
    (State.LISTENING, ev.TurnTimedOut): TurnEdge(State.THINKING, (Do.PROMPT,)),
    (State.LISTENING, ev.Muted): TurnEdge(State.SILENT),
    # ── hearing: the caller speaks ─────────────────────────────────────────────────────────────────────────────
    (State.HEARING, ev.VoiceEnded): TurnEdge(State.THINKING, (Do.RECOGNIZE,)),
    (State.HEARING, ev.Typed): TurnEdge(State.THINKING, (Do.SHUT_EAR, Do.THINK)),
    (State.HEARING, ev.TurnTimedOut): TurnEdge(State.THINKING, (Do.RECOGNIZE,)),
    (State.HEARING, ev.Muted): TurnEdge(State.SILENT, (Do.SHUT_EAR,)),
    # ── thinking: recognizer and brain work ────────────────────────────────────────────────────────────────────
    (State.THINKING, ev.Understood): TurnEdge(State.THINKING, (Do.THINK,)),
    (State.THINKING, ev.HeardNothing): TurnEdge(State.LISTENING),
    (State.THINKING, ev.VoiceBegan): TurnEdge(State.HEARING, (Do.DROP_THOUGHT, Do.OPEN_EAR)),
    (State.THINKING, ev.Typed): TurnEdge(State.THINKING, (Do.DROP_THOUGHT, Do.THINK)),
    (State.THINKING, ev.ReplyBegan): TurnEdge(State.SPEAKING, (Do.SPEAK,)),
    (State.THINKING, ev.ReplyWasEmpty): TurnEdge(State.LISTENING),
    (State.THINKING, ev.TurnTimedOut): TurnEdge(State.THINKING, (Do.DROP_THOUGHT, Do.APOLOGIZE)),
    (State.THINKING, ev.Muted): TurnEdge(State.SILENT, (Do.DROP_THOUGHT,)),
    # ── speaking: the agent speaks ─────────────────────────────────────────────────────────────────────────────
    (State.SPEAKING, ev.VoiceBegan): TurnEdge(State.INTERRUPTED, (Do.PAUSE_SPEECH, Do.OPEN_EAR)),
    (State.SPEAKING, ev.Typed): TurnEdge(State.THINKING, (Do.CUT_SPEECH, Do.THINK)),
    (State.SPEAKING, ev.PlaybackEnded): TurnEdge(State.LISTENING, (Do.REPORT_LINE,)),
    (State.SPEAKING, ev.TurnTimedOut): TurnEdge(State.LISTENING, (Do.CUT_SPEECH,)),
    (State.SPEAKING, ev.Muted): TurnEdge(State.SILENT, (Do.CUT_SPEECH,)),
    # ── interrupted: the caller speaks into the agent's words ──────────────────────────────────────────────────
    (State.INTERRUPTED, ev.VoiceEnded): TurnEdge(State.INTERRUPTED, (Do.RECOGNIZE,)),
    (State.INTERRUPTED, ev.Understood): TurnEdge(State.THINKING, (Do.CUT_SPEECH, Do.THINK)),
    (State.INTERRUPTED, ev.HeardNothing): TurnEdge(State.RESUMING, (Do.RESUME_SPEECH,)),
    (State.INTERRUPTED, ev.VoiceBegan): TurnEdge(State.INTERRUPTED, (Do.OPEN_EAR,)),
    (State.INTERRUPTED, ev.Typed): TurnEdge(State.THINKING, (Do.SHUT_EAR, Do.CUT_SPEECH, Do.THINK)),
    (State.INTERRUPTED, ev.TurnTimedOut): TurnEdge(State.THINKING, (Do.CUT_SPEECH, Do.RECOGNIZE)),
    (State.INTERRUPTED, ev.Muted): TurnEdge(State.SILENT, (Do.SHUT_EAR, Do.CUT_SPEECH)),
    # ── resuming: it was no interruption ───────────────────────────────────────────────────────────────────────
    (State.RESUMING, ev.PlaybackResumed): TurnEdge(State.SPEAKING),
    (State.RESUMING, ev.PlaybackEnded): TurnEdge(State.LISTENING, (Do.REPORT_LINE,)),
    (State.RESUMING, ev.VoiceBegan): TurnEdge(State.INTERRUPTED, (Do.PAUSE_SPEECH, Do.OPEN_EAR)),
    (State.RESUMING, ev.Typed): TurnEdge(State.THINKING, (Do.CUT_SPEECH, Do.THINK)),
    (State.RESUMING, ev.TurnTimedOut): TurnEdge(State.LISTENING, (Do.CUT_SPEECH,)),
    (State.RESUMING, ev.Muted): TurnEdge(State.SILENT, (Do.CUT_SPEECH,)),
}

#: How long a turn may stay in a state, seconds. ``listening`` is the silence after which the brain is asked what to do.
TIMEOUTS: dict[State, float] = {
    State.LISTENING: 10.0,
    State.HEARING: 30.0,
    State.THINKING: 10.0,
    State.SPEAKING: 120.0,
    State.INTERRUPTED: 30.0,
    State.RESUMING: 2.0,
}


class Turn(msgspec.Struct, frozen=True):
    """The present turn state; ``epoch`` grows with each change of state, and timers carry it."""

    state: State = State.SILENT
    epoch: int = 0


class NoTurnEdge(OffhookError):
    """The table has no row for this event in this state; nothing has changed."""

    def __init__(self, state: State, event: ev.TurnEvent) -> None:
        super().__init__(f"no edge for {type(event).__name__} in turn state {state.value}")
        self.state = state
        self.event = event


def step(turn: Turn, event: ev.TurnEvent, *, table: TurnTable = TABLE) -> tuple[Turn, tuple[Do, ...]]:
    """Apply ``event`` to ``turn``; returns the new turn and the orders in order.

    Raises ``NoTurnEdge`` when nothing changes, also for a timer of an earlier epoch. An event that keeps the state
    keeps the epoch, so its timer runs on.
    """
    edge = table.get((turn.state, type(event)))
    stale = isinstance(event, ev.TurnTimedOut) and (event.epoch != turn.epoch or event.state is not turn.state)
    if edge is None or stale:
        raise NoTurnEdge(turn.state, event)
    if edge.to is turn.state and not isinstance(event, ev.TurnTimedOut):
        return turn, edge.do
    return Turn(edge.to, turn.epoch + 1), edge.do
