"""Events of a call: facts in the past tense. Each is one entry of the call's log.

An event says what happened and carries what a rebuilt session must know; it never says what to do about it (that is
the table's business). All are frozen msgspec Structs, tagged by their class name. Times are seconds since the epoch.
"""

from typing import Annotated, Literal

import msgspec

from offhook.protocol.call.states import CallState, EndReason
from offhook.protocol.errors import Reason
from offhook.protocol.quality import Quality

#: Name of a recording: of its file in the folder of recordings.
RecordingKey = Annotated[str, msgspec.Meta(pattern=r"^[-_a-zA-Z0-9]{1,64}(\.[1-9][0-9]{0,3})?\.ogg\Z")]

#: What a caller is told whose call cannot go on elsewhere.
VOICE_IS_GONE = "The server that carried the audio of this call is gone. Please call again."


class Event(msgspec.Struct, frozen=True, tag=True, kw_only=True, omit_defaults=True):
    """Root of all events of a call."""


class Offered(Event, frozen=True):
    """A caller with a valid token offered media for a new call, or asked us to offer (S2)."""

    #: Agent id, the version that will serve the call, and the workspace both belong to.
    agent: str
    version: str
    workspace: str
    #: The caller's SDP offer, already validated and bounded; empty: the offer is to be ours.
    sdp: str
    #: ``end-to-end``, ``traditional`` or ``echo`` (G7), as it will be served.
    mode: str
    channel: str = "web"
    call_sid: str | None = None
    caller: str | None = None
    callee: str | None = None
    variant: str | None = None
    variables: dict[str, str] = {}
    metadata: dict[str, str] = {}
    #: Longest duration of the answered call, seconds.
    max_duration: float = 1800.0


class OfferRepeated(Event, frozen=True):
    """The caller sent the offer of this call once more (same ``callSid``, G8)."""


class MediaPrepared(Event, frozen=True):
    """A voice node took the offer and has an answer for it, or has an offer of ours."""

    #: The SDP answer, or our offer.
    sdp: str
    #: Name of the voice node that now holds media and agent.
    node: str


class OfferAnswered(Event, frozen=True):
    """The caller answered the offer that we made (S2)."""

    #: The caller's SDP answer, already validated and bounded.
    sdp: str


class MediaConnected(Event, frozen=True):
    """ICE and DTLS are up; audio can flow both ways."""


class MediaLost(Event, frozen=True):
    """No packet came from the caller for too long."""


class MediaFailed(Event, frozen=True):
    """The media of this call cannot be set up or cannot go on."""

    #: A ``Reason`` word and a sentence for the caller.
    reason: str
    message: str


class MediaClosed(Event, frozen=True):
    """The peer connection of this call is gone."""


class VoiceLost(Event, frozen=True):
    """The voice node that carried the call is gone, and media and agent with it."""

    node: str


class AgentAnswered(Event, frozen=True):
    """The agent took the call."""


class AgentCompleted(Event, frozen=True):
    """The agent finished: its last words were played."""

    reason: EndReason = EndReason.AGENT_COMPLETED


class AgentFailed(Event, frozen=True):
    """The agent cannot go on."""

    reason: str
    message: str


class AgentStopped(Event, frozen=True):
    """The agent is silent for good and everything it said has been reported."""


class Said(Event, frozen=True):
    """One line of the transcript is final.

    For the agent, ``text`` is what the caller was played, not what was generated.
    """

    role: Literal["caller", "agent"]
    text: str
    #: Number of the line within the call, from 1; the same line always has the same number.
    line: int
    #: When the line began and ended, seconds since the epoch.
    began: float
    ended: float
    #: True when the agent was interrupted in this line.
    interrupted: bool = False


class FloorPassed(Event, frozen=True):
    """The floor changed hands (who is talking now)."""

    floor: Literal["speaking", "listening"]


class InfoSent(Event, frozen=True):
    """The agent sent a piece of information to the page."""

    name: str
    data: str


class ToolCalled(Event, frozen=True):
    """The agent is about to use a tool; the tool runs only once this stands in the log."""

    #: Unique within the call; the tool's effect happens at most once for it.
    id: str
    name: str
    #: JSON text of the arguments.
    arguments: str


class ToolReturned(Event, frozen=True):
    """A tool has come to an end."""

    id: str
    #: JSON text of the result; None when the tool failed.
    result: str | None = None
    error: str | None = None


class MindKept(Event, frozen=True):
    """What the agent's brain must remember to go on, should its voice node be lost."""

    #: In the brain's own words; mostly JSON text.
    mind: str
    #: Whether it comes with words that the caller is still to hear.
    unheard: bool = False


class RecordingBegan(Event, frozen=True):
    """What caller and agent say is written down from now on (R5)."""

    key: RecordingKey
    #: Version of the text the caller has agreed to; empty: nobody was asked.
    consent: str = ""


class RecordingSaved(Event, frozen=True):
    """The recording is complete, or as complete as it will be."""

    key: RecordingKey
    #: Length of the sound, and bytes of the file.
    seconds: float
    size: int
    #: Why it is not whole; empty if it is.
    failure: str = ""
    #: When its first packet came, seconds since the epoch; None: there was none.
    began_at: float | None = None


class AudioMeasured(Event, frozen=True):
    """How the audio has fared since the call began; told now and then, and when the media closes."""

    quality: Quality


class CallHeld(Event, frozen=True):
    """Somebody of the team put the caller on hold."""


class CallResumed(Event, frozen=True):
    """The caller was taken off hold."""


class CallerHungUp(Event, frozen=True):
    """The caller ended the call."""


class OperatorHungUp(Event, frozen=True):
    """Somebody of the team ended the call."""


class CallerDropped(Event, frozen=True):
    """The signaling socket went away without a ``close``."""


class CallerReturned(Event, frozen=True):
    """The caller came back to the call with a new signaling socket (G11)."""

    socket: str


class Reoffered(Event, frozen=True):
    """The caller that came back offered new media for the call that goes on (G11)."""

    sdp: str


class ReofferRefused(Event, frozen=True):
    """The voice node cannot take the caller's new offer; what there was stays as it is."""

    #: A ``Reason`` word and a sentence for the caller.
    reason: str
    message: str


class ShutDown(Event, frozen=True):
    """The operator ends the call with the system."""


class TimedOut(Event, frozen=True):
    """The time allowed in a state ran out.

    ``epoch`` is the call's epoch when the timer was set; a timer of an earlier epoch is stale and changes nothing.
    """

    state: CallState
    epoch: int


CallEvent = (
    Offered
    | OfferRepeated
    | MediaPrepared
    | OfferAnswered
    | MediaConnected
    | MediaLost
    | MediaFailed
    | MediaClosed
    | VoiceLost
    | AgentAnswered
    | AgentCompleted
    | AgentFailed
    | AgentStopped
    | Said
    | FloorPassed
    | InfoSent
    | ToolCalled
    | ToolReturned
    | MindKept
    | RecordingBegan
    | RecordingSaved
    | AudioMeasured
    | CallHeld
    | CallResumed
    | CallerHungUp
    | OperatorHungUp
    | CallerDropped
    | CallerReturned
    | Reoffered
    | ReofferRefused
    | ShutDown
    | TimedOut
)


def lost_voice(node: str, *, can_return: bool) -> VoiceLost | MediaFailed:
    """What is to be reported of a call whose voice node is gone; a caller who cannot offer new media has lost it."""
    if can_return:
        return VoiceLost(node=node)
    return MediaFailed(reason=Reason.MEDIA_FAILED.value, message=VOICE_IS_GONE)


#: Every event type, in the order the matrix in docs/ shows them.
EVENTS: tuple[type[Event], ...] = tuple(CallEvent.__args__)


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a call's log. The log is the call: folding it gives the call's state."""

    call: str
    #: Position in this call's log, from 1, without gaps.
    seq: int
    #: When the event was taken, seconds since the epoch.
    at: float
    #: Epoch of the owner that wrote it.
    owner: int
    event: CallEvent
    #: Who reported the event and its number there, so that a report that is sent twice is taken once.
    source: str = ""
    number: int = 0
