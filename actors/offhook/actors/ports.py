"""Ports: what the actors need from the outside, as Protocols.

Each has a real implementation in ``offhook.services`` and a simulated one in ``offhook.simulation``; both pass the same
contract tests (``tests/contract``). What a port does *not* promise is written down too: actors must live with it.

Every ``async`` method is a checkpoint and may be cancelled; cancelled calls may or may not have had their effect.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

import msgspec

from offhook.actors.link import AudioLink
from offhook.protocol.errors import OffhookError
from offhook.protocol.messages import AddCandidate
from offhook.protocol.quality import Quality
from offhook.protocol.speech import BrainAction, Heard, Hints, SpeechChunk, Voice

# ── the bus ────────────────────────────────────────────────────────────────────────────────────────────────────────


class BusAway(OffhookError):
    """The bus cannot be reached now. Whether the request took effect is not known."""


class WrongSequence(OffhookError):
    """Somebody else has appended to this log; nothing was written."""


class KeyTaken(OffhookError):
    """The key exists already; nothing was written."""


class WrongRevision(OffhookError):
    """The key has another revision than expected, or is gone; nothing was written."""


class Stored(msgspec.Struct, frozen=True):
    """A stored value: a message of a log, or the value of a key."""

    subject: str
    data: bytes
    #: Sequence (log) or revision (key) given by the bus; grows, with gaps.
    revision: int


#: Most messages that come to a durable reader at one time.
MAX_BATCH = 1000
#: Messages all who follow as one reader together may owe an ack for; no new ones come beyond.
MAX_UNACKED = 3 * MAX_BATCH


class Batch(Protocol):
    """Messages of logs that have come to a durable reader: at least one, at most ``MAX_BATCH``."""

    @property
    def messages(self) -> Sequence[Stored]:
        """The messages; those of one log in order."""

    async def ack(self) -> None:
        """Done with all of them: they are not delivered again (lost acks may still deliver some again)."""


class Bus(Protocol):
    """Messages between actors, logs and keys, with the semantics of NATS core, JetStream and its key-value store."""

    async def publish(self, subject: str, data: bytes) -> None:
        """Send to whoever listens now: at most once, in order per publisher and subject, no error if nobody does.

        Never waits for a receiver. Raises ``BusAway``.
        """

    def subscribe(self, subject: str, *, group: str | None = None) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Receive what is published to ``subject`` (``*`` matches one token) while the context is open.

        The subscription is in place when the context is entered. Of the subscribers with one ``group``, one gets each
        message. The buffer is bounded (1,024 messages); the oldest are dropped when it is full.
        """

    async def append(self, subject: str, data: bytes, *, last: int) -> int:
        """Append to a log if ``last`` is the revision of its last message (0: the log is empty).

        Returns the message's revision; it is on disk then. Raises ``WrongSequence``, ``BusAway``.
        """

    async def read_log(self, subject: str) -> list[Stored]:
        """All messages of one log, oldest first. Raises ``BusAway``."""

    async def erase_log(self, subject: str) -> int:
        """Make a log empty, for ever; returns how many messages it had.

        Readers that follow it do not get what they have not got by now. Raises ``BusAway``.
        """

    def follow(self, subjects: str, *, reader: str) -> AbstractAsyncContextManager[AsyncIterator[Batch]]:
        """Read all logs that match ``subjects`` as the durable ``reader``: at least once, in order per log.

        A batch is what has come by the time it is asked for; while it is dealt with the next one comes in.

        Several processes may follow as one reader; each message goes to one of them. Not acked within 30 s: again.
        """

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> int:
        """Write a key that does not exist; returns its revision. Raises ``KeyTaken``, ``BusAway``.

        With ``ttl`` the key goes away by itself, not before so many seconds (at least one) and soon after them, unless
        it is updated: what ``update`` writes stays.
        """

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Write a key if its revision is ``revision``; returns the new one. Raises ``WrongRevision``, ``BusAway``."""

    async def delete(self, key: str, *, revision: int) -> None:
        """Delete a key if its revision is ``revision``. Raises ``WrongRevision``, ``BusAway``."""

    async def get(self, key: str) -> Stored | None:
        """The value of a key, or None. May be stale: decide by ``create`` and ``update``, never by this."""

    async def keys(self, prefix: str) -> list[Stored]:
        """All keys that begin with ``prefix`` (a dotted token path, ``lease.``), with their values. May be stale."""


# ── media ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class PeerConnected(msgspec.Struct, frozen=True, tag=True):
    """ICE and DTLS are up; also after ``PeerLost`` when packets come again."""


class PeerLost(msgspec.Struct, frozen=True, tag=True):
    """No packet has come for too long."""


class PeerFailed(msgspec.Struct, frozen=True, tag=True):
    """The connection cannot be set up or cannot go on. Nothing follows."""

    reason: str
    message: str


class PeerClosed(msgspec.Struct, frozen=True, tag=True):
    """The browser closed the connection, or we did. Nothing follows."""


class PeerDigit(msgspec.Struct, frozen=True, tag=True):
    """The caller pressed a key."""

    digit: str


PeerEvent = PeerConnected | PeerLost | PeerFailed | PeerClosed | PeerDigit


class MediaPeer(Protocol):
    """One peer connection of one call, on one ``AudioLink``."""

    async def answer(self, offer: str) -> str:
        """Take the caller's SDP offer, return the answer. Raises ``Refusal`` with an ``sdp_*`` reason. Once only."""

    async def offer(self) -> str:
        """An SDP offer of ours, instead of an answer. Raises ``Refusal`` with a ``media_*`` reason. Once only."""

    async def take_answer(self, answer: str) -> None:
        """The caller's answer to our offer; a second one changes nothing. Raises ``Refusal`` (``sdp_*``)."""

    async def add_candidate(self, candidate: AddCandidate) -> None:
        """A trickled candidate; an implausible one is dropped silently and counted. Never raises."""

    async def next_event(self) -> PeerEvent:
        """The next thing that happened to the connection."""

    def quality(self) -> Quality | None:
        """How the audio has fared since the connection came up; None from a peer that does not know."""

    def hold(self) -> None:
        """Play hold audio instead of the link; what the caller says is not passed on."""

    def resume(self) -> None:
        """Undo ``hold``."""

    def dial(self, keys: str) -> bool:
        """Send keys of a telephone (``0-9*#ABCD``) as telephone-events, one after the other, instead of the sound.

        False when the other side takes none, or there is none yet. Raises ``ValueError`` for a key that does not exist.
        """


class Tap(Protocol):
    """Where the packets of a call are copied to. Both methods are called on the packet path: they never wait or raise.

    Times are RTP timestamps, 48 kHz, each side with its own beginning.
    """

    def heard(self, timestamp: int, payload: bytes) -> None:
        """An Opus packet of the caller, as it came; in the order of arrival."""

    def sent(self, timestamp: int, payload: bytes) -> None:
        """An Opus packet to the caller."""


class MediaEngine(Protocol):
    """Where peers come from."""

    def open_peer(
        self, link: AudioLink, *, echo: bool, tap: Tap | None = None
    ) -> AbstractAsyncContextManager[MediaPeer]:
        """A new peer connection; leaving the context closes it within a second and frees everything.

        With ``echo`` the caller hears itself and the link stays unused. ``tap`` gets what passes in both directions,
        but for a call on hold.
        """


# ── recordings ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that is finished."""

    #: Length of the sound, and bytes of the file.
    seconds: float
    size: int
    #: Why it is not whole; empty if it is.
    failure: str = ""
    #: When its first packet came, seconds since the epoch; None: there was none.
    began_at: float | None = None


class Recording(Tap, Protocol):
    """The recording of one call, which several connections of it may feed, one after the other or both at once."""

    #: Its name among the recordings.
    key: str

    async def finish(self) -> Recorded:
        """Write what is left. Never raises; what went wrong stands in the outcome. May take long."""


class Recorder(Protocol):
    """Where recordings are kept.

    Promised: what was tapped is kept a second later at most, whatever becomes of this process. Not promised: that it
    is kept where the disk is full or stands still; the call goes on then, and the outcome of the recording says so.
    """

    def open_recording(self, call: str, *, consent: str) -> AbstractAsyncContextManager[Recording]:
        """A recording of ``call``. Left without ``finish``, it is kept as far as it got.

        ``consent`` is the version of the text the caller has agreed to, to be kept with it.
        """


# ── speech ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class SpeechFailed(OffhookError):
    """A speech engine cannot do its work now; ``message`` says why."""


class Utterance(Protocol):
    """One utterance on its way to words."""

    async def feed(self, pcm: bytes) -> None:
        """More audio (``EAR_RATE``, any length). Returns soon; recognition runs elsewhere. Raises ``SpeechFailed``."""

    async def finish(self) -> Heard:
        """No more audio: the words. Raises ``SpeechFailed``."""


class Recognizer(Protocol):
    """Speech to text."""

    def open_utterance(self, hints: Hints, *, speaker: str) -> AbstractAsyncContextManager[Utterance]:
        """Begin an utterance; leaving the context drops it.

        ``speaker`` names the call: what was learnt of a voice and its line (cepstral means) is kept under it.
        Entering never waits for a model to load for more than a second; it raises ``SpeechFailed`` rather.
        """

    async def forget(self, speaker: str) -> None:
        """The call is over: drop what was kept under ``speaker``."""


class Synthesizer(Protocol):
    """Text to speech."""

    def speak(self, text: str, voice: Voice) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """Speech for ``text`` in chunks of at most 200 ms, faster than real time; leaving the context stops it.

        ``Word.sample`` counts from the start of this text. Iterating raises ``SpeechFailed``.
        """


class VoiceDetector(Protocol):
    """Tells speech from silence in one call's audio. Synchronous, a few microseconds a frame."""

    def feed(self, frame: bytes) -> bool:
        """One frame of 20 ms (``EAR_FRAME`` bytes); True while the caller speaks, hangover included."""

    def lead(self) -> bytes:
        """Audio just before the detector turned True (and the frame that turned it), for the recognizer."""


# ── the brain ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Brain(Protocol):
    """What the agent thinks with: one object per call.

    Each method streams what to do; the agent may stop iterating at any time (the caller went on talking), and then
    the brain must stand as if the unfinished turn had not happened, up to the actions already yielded.
    """

    def hints(self) -> Hints:
        """What the brain expects to hear now."""

    def open(self) -> AsyncIterator[BrainAction]:
        """The call was answered: the first words."""

    def hear(self, heard: Heard) -> AsyncIterator[BrainAction]:
        """The caller said (or typed, or dialed) this."""

    def wait(self) -> AsyncIterator[BrainAction]:
        """The caller has been silent for a while."""


@runtime_checkable
class Informed(Protocol):
    """A brain that also takes what the page has to tell (A5)."""

    def inform(self, name: str, data: str) -> None:
        """The page says ``data``, a text or JSON text. Nothing is answered; may come in the middle of a thought."""


class ToolFailed(OffhookError):
    """A tool could not do its work; the message says why, for the brain and the log."""


class Toolbox(Protocol):
    """What a brain can do besides talking."""

    async def use(self, name: str, **arguments: Any) -> Any:
        """Use a tool; arguments and result are what JSON can hold.

        The use stands in the call's log before the tool runs, so its effect happens at most once, whatever crashes.
        Raises ``ToolFailed``, also when the call has left the state in which an agent may act.
        """


class AgentNotFound(OffhookError):
    """No agent, or no such version of it."""


class VariantNotFound(OffhookError):
    """The agent has variants, and none of this name."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a voice node must know of an agent to run a call of it."""

    agent: str
    version: str
    name: str
    voice: Voice
    #: Seconds of the caller's silence until the brain's ``wait``.
    patience: float = 10.0
    #: Longest answered call, seconds.
    max_duration: float = 1800.0
    #: Whether its calls are recorded, and the version of the text that a caller has to have agreed to for that.
    recorded: bool = False
    consent: str = ""
    #: Whether this version was never published: it serves only those who were given leave to try it.
    draft: bool = False
    #: What the agent says when its brain takes too long.
    apology: str = "I am sorry, that took me too long. Could you say it again?"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid token allows."""

    agent: str
    workspace: str
    #: Unique id of the token: it opens one call, unless ``reusable``.
    token: str
    reusable: bool = False
    #: When the token stops to count, seconds since the epoch; None: never.
    expires_at: float | None = None
    #: The version it was made for; None: that which serves the public.
    version: str | None = None
    #: Whether the caller may name versions that were never published.
    drafts: bool = False


class Verifier(Protocol):
    """Who may call."""

    def verify(self, token: str, *, origin: str | None) -> Grant:
        """Check a token. Raises ``Refusal`` with a ``token_*`` or ``origin_*`` reason."""

    def verify_join(self, token: str, *, session: str, origin: str | None) -> Grant:
        """Check a token for one session (S1), which opens no other call. Raises as ``verify``."""


class Agents(Protocol):
    """The agents this node knows."""

    async def reach(self, agent: str, version: str | None = None) -> None:
        """Have a version at hand that may be kept elsewhere; whether there is one is seen by ``profile``.

        Returns at once for a version that is at hand, and soon in any case.
        """

    def profile(self, agent: str, version: str | None = None, *, variant: str | None = None) -> Profile:
        """Profile of an agent in a version at hand (None: that which serves the public), in one of its variants.

        Raises ``AgentNotFound``, ``VariantNotFound``.
        """

    def brain(
        self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox, variant: str | None = None
    ) -> Brain:
        """A brain for one call, with the tools it may use. Raises ``AgentNotFound``, ``VariantNotFound``."""

    async def run_tool(self, agent: str, version: str, name: str, arguments: str, *, use: str) -> str:
        """Run a tool of an agent: JSON text in, JSON text out. ``use`` names this one use: a key for idempotency.

        Raises ``ToolFailed``.
        """

    def ids(self) -> Sequence[str]:
        """All agent ids, sorted."""


# ── clock and chance ───────────────────────────────────────────────────────────────────────────────────────────────


class Clock(Protocol):
    """The wall clock, for what is written down. What is waited for goes by ``anyio.current_time()``."""

    def now(self) -> float:
        """Seconds since the epoch."""


class Identity(Protocol):
    """Where new names come from."""

    def new_id(self) -> str:
        """A fresh UUID."""
