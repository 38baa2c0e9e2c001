"""Effects of a call: orders in the imperative, each for one of the other actors.

``step`` returns them; the session actor posts them after the event stands in the log. A lost effect is repaired by the
timeout of the state that waits for its outcome.
"""

import msgspec

from offhook.protocol.call.memory import Memory
from offhook.protocol.quality import Quality

#: Values that every format can hold, and nothing that can nest.
Scalar = str | int | float | bool | None


class Effect(msgspec.Struct, frozen=True, tag=True, kw_only=True, omit_defaults=True):
    """Root of all effects of a call."""


# ── to the media actor ────────────────────────────────────────────────────────────────────────────────────────────


class OpenMedia(Effect, frozen=True):
    """Some voice node: take this offer, start the media and the agent of the call, answer with ``MediaPrepared``."""

    #: Empty: make an offer, and report that.
    sdp: str
    agent: str
    version: str
    mode: str
    variables: dict[str, str] = {}
    caller: str | None = None
    variant: str | None = None
    #: Of a call that lost its voice node the number of this attempt, from 2; those with a lower number are void.
    opening: int = 1
    #: What the agent is to know of the conversation so far, its number of lines, and how the audio has fared.
    memory: Memory = Memory()
    lines: int = 0
    quality: Quality | None = None


class ReopenMedia(Effect, frozen=True):
    """Take a new offer for this call; the new connection takes over once it is up. Answer with ``MediaPrepared``."""

    sdp: str


class TakeAnswer(Effect, frozen=True):
    """Take the caller's answer to the offer that we made."""

    sdp: str


class HoldMedia(Effect, frozen=True):
    """Play hold audio to the caller."""


class ResumeMedia(Effect, frozen=True):
    """Stop the hold audio."""


class CloseMedia(Effect, frozen=True):
    """Close the peer connection, then report ``MediaClosed``."""

    #: Only for those of an opening with a lower number: the call goes on elsewhere. 0: for all.
    before: int = 0


# ── to the agent actor ────────────────────────────────────────────────────────────────────────────────────────────


class RingAgent(Effect, frozen=True):
    """Ask the agent to take the call; it reports ``AgentAnswered``."""


class StartAgent(Effect, frozen=True):
    """Begin the conversation: greet, then listen."""


class HoldAgent(Effect, frozen=True):
    """Fall silent and hear nothing until told otherwise; keep the context."""


class ResumeAgent(Effect, frozen=True):
    """Go on with the conversation."""


class StopAgent(Effect, frozen=True):
    """Stop talking now, report the last line as far as it was played, then ``AgentStopped``."""


# ── to the signaling actor ────────────────────────────────────────────────────────────────────────────────────────


class SendAnswer(Effect, frozen=True):
    """Send the SDP answer to the caller (G3)."""

    sdp: str


class SendOffer(Effect, frozen=True):
    """Send our SDP offer to the caller (S2)."""

    sdp: str


class Announce(Effect, frozen=True):
    """Tell a client that asked for events what happened (G10)."""

    #: ringing, answered, held, resumed, transcript, speaking, listening, info, reconnecting, ended.
    event: str
    data: dict[str, Scalar] = {}


class SendError(Effect, frozen=True):
    """Tell the caller what failed (G6)."""

    reason: str
    message: str


class LeaveSocket(Effect, frozen=True):
    """The caller is on socket ``to`` now: every other socket of the call is closed."""

    to: str


class EndSignaling(Effect, frozen=True):
    """Nothing more comes: close the socket in good order."""

    reason: str


ToMedia = ReopenMedia | TakeAnswer | HoldMedia | ResumeMedia | CloseMedia
ToAgent = RingAgent | StartAgent | HoldAgent | ResumeAgent | StopAgent
ToSignaling = SendAnswer | SendOffer | Announce | SendError | LeaveSocket | EndSignaling
CallEffect = OpenMedia | ToMedia | ToAgent | ToSignaling

#: Every effect type, in the order the docs show them.
EFFECTS: tuple[type[Effect], ...] = tuple(CallEffect.__args__)
