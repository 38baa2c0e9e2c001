"""Events of a turn: facts in the past tense, from the ear, the brain and the mouth of the agent."""

import msgspec

from offhook.protocol.turn.states import TurnState


class TurnEvent(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Root of all events of a turn."""


class Opened(TurnEvent, frozen=True):
    """The call was answered; the agent has the first word."""


class TakenUp(TurnEvent, frozen=True):
    """The agent of a conversation that had begun is lost, and this one goes on with it; it has the first word."""


class Unmuted(TurnEvent, frozen=True):
    """The call goes on after a hold."""


class Muted(TurnEvent, frozen=True):
    """The call was put on hold, lost its media, or ended."""


class VoiceBegan(TurnEvent, frozen=True):
    """The caller began to speak."""


class VoiceEnded(TurnEvent, frozen=True):
    """The caller fell silent."""


class Understood(TurnEvent, frozen=True):
    """The recognizer found speech in what the caller said (a misunderstanding is for the brain to repair)."""


class HeardNothing(TurnEvent, frozen=True):
    """The recognizer found no speech: a cough, a click, noise."""


class Typed(TurnEvent, frozen=True):
    """The caller sent text or a digit instead of speaking."""


class ReplyBegan(TurnEvent, frozen=True):
    """The first words of the agent's answer are there."""


class ReplyWasEmpty(TurnEvent, frozen=True):
    """The brain has nothing to say to this."""


class PlaybackEnded(TurnEvent, frozen=True):
    """Everything the agent had to say was played to the caller."""


class PlaybackResumed(TurnEvent, frozen=True):
    """The caller hears the agent's interrupted words again."""


class TurnTimedOut(TurnEvent, frozen=True):
    """The time allowed in a turn state ran out; stale when ``epoch`` is not the present one."""

    state: TurnState
    epoch: int


AnyTurnEvent = (
    Opened
    | TakenUp
    | Unmuted
    | Muted
    | VoiceBegan
    | VoiceEnded
    | Understood
    | HeardNothing
    | Typed
    | ReplyBegan
    | ReplyWasEmpty
    | PlaybackEnded
    | PlaybackResumed
    | TurnTimedOut
)

#: Every event type, in the order the matrix in docs/ shows them.
EVENTS: tuple[type[TurnEvent], ...] = tuple(AnyTurnEvent.__args__)
