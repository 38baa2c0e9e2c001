"""Messages between actors: one envelope around facts, orders and log entries, as msgpack.

Facts (``CallEvent``) go to the session actor. Orders (``CallEffect``) go from it to the others, stamped with the
owner's epoch. A few messages pass between two of the others and never touch the state of a call: candidates, text,
digits and information from the page.
"""

import math
from typing import Annotated, TypeVar

import msgspec

from offhook.protocol import subjects
from offhook.protocol.call import effects as do
from offhook.protocol.call.effects import CallEffect
from offhook.protocol.call.events import EVENTS, AudioMeasured, CallEvent, LogEntry, RecordingSaved, Said
from offhook.protocol.errors import OffhookError

#: Version of the envelope. A receiver ignores fields it does not know and refuses a newer version.
VERSION = 1
#: Longest message, bytes.
MAX_BYTES = 256 * 1024


class AddCandidate(msgspec.Struct, frozen=True, tag=True):
    """A trickled ICE candidate of the caller for the media actor; an empty ``candidate`` ends them (G4)."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


class ShowCandidate(msgspec.Struct, frozen=True, tag=True):
    """A trickled ICE candidate of the server for the signaling actor."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


class CallerTyped(msgspec.Struct, frozen=True, tag=True):
    """Text the caller typed, for the agent actor."""

    text: str


class CallerDialed(msgspec.Struct, frozen=True, tag=True):
    """A DTMF digit of the caller, for the agent actor."""

    digit: str


class InfoReceived(msgspec.Struct, frozen=True, tag=True):
    """Information the page sent, for the agent actor (A5)."""

    name: str
    data: str


class Taken(msgspec.Struct, frozen=True, tag=True):
    """The session has taken report ``number`` of ``source``; the next one may come."""

    source: str
    number: int
    #: False: the call's state has no use for it, and it does not stand in the log.
    accepted: bool = True


Aside = Taken | AddCandidate | ShowCandidate | CallerTyped | CallerDialed | InfoReceived
Body = CallEvent | CallEffect | Aside


#: What may come on each subject of a call.
TO_SESSION = EVENTS
TO_VOICE: tuple[type, ...] = (do.OpenMedia,)
TO_MEDIA: tuple[type, ...] = (*do.ToMedia.__args__, AddCandidate)
TO_AGENT: tuple[type, ...] = (*do.ToAgent.__args__, CallerTyped, CallerDialed, InfoReceived)
TO_SIGNALING: tuple[type, ...] = (*do.ToSignaling.__args__, ShowCandidate)
TO_REPORTER: tuple[type, ...] = (Taken,)
#: What only the owner of a call may say.
OWNED: tuple[type, ...] = (*do.EFFECTS, Taken)


#: Ids of calls become tokens of subjects and keys.
CallId = Annotated[str, msgspec.Meta(pattern=r"^[-_a-zA-Z0-9]{1,64}\Z")]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What travels on the bus."""

    #: Version of this format.
    v: int = VERSION
    call: CallId
    #: Epoch of the owner that speaks; 0 from those that own nothing.
    owner: int = 0
    #: Of an order: the position in the call's log that it follows from.
    seq: int = 0
    #: Of a report to the session: who sends it, and its number there, from 1.
    source: str = ""
    number: int = 0
    body: Body


class BadMessage(OffhookError):
    """Bytes from the bus that cannot be taken; ``reason`` is a stable word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be taken, and why."""

    #: Where it was sent.
    subject: str
    #: ``too_large``, ``malformed``, ``unsupported_version``, ``wrong_call``, ``unexpected``, ``no_owner``,
    #: ``stale_owner``.
    reason: str
    detail: str
    #: Bytes of the message, and the first of them; all of a newer version, so that it can be read after an upgrade.
    size: int
    data: bytes
    #: Position in the stream of the logs, if it came from there.
    revision: int = 0


#: Bytes of an unreadable message that are kept.
KEPT_BYTES = 1024
#: Last position a log can have; a call that gets there is no call.
MAX_SEQ = 2**31 - 1

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()
_version = msgspec.msgpack.Decoder(msgspec.defstruct("Version", [("v", int, 0)]))
_envelope = msgspec.msgpack.Decoder(Envelope)
_entry = msgspec.msgpack.Decoder(LogEntry)


def encode(message: object) -> bytes:
    """Bytes of an envelope, a log entry or any other Struct."""
    return _encoder.encode(message)


def decode_envelope(data: bytes) -> Envelope:
    """Read an envelope.

    Raises ``BadMessage`` with ``too_large``, ``malformed`` or ``unsupported_version``; never anything else.
    """
    envelope = _decode(_envelope, data)
    if envelope.v > VERSION:
        _check_version(data)
    _check_event(envelope.body)
    return envelope


def decode_entry(subject: str, data: bytes) -> LogEntry:
    """Read an entry of the log ``subject``. Raises ``BadMessage`` as ``decode_envelope``, and with ``wrong_call``."""
    entry = _decode(_entry, data)
    _check_version(data)
    if entry.call != subjects.call_of_log(subject):
        raise BadMessage("wrong_call", f"call {entry.call!r} in the log {subject!r}")
    _check_times(entry.at)
    _check_event(entry.event)
    if not 1 <= entry.seq <= MAX_SEQ:
        raise BadMessage("malformed", "a position that cannot be")
    return entry


def bury(subject: str, data: bytes, error: BadMessage, *, revision: int = 0) -> DeadLetter:
    """The dead letter for ``data``."""
    kept = data if error.reason == "unsupported_version" else data[:KEPT_BYTES]
    return DeadLetter(
        subject=subject, reason=error.reason, detail=error.detail, size=len(data), data=kept, revision=revision
    )


def _decode(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    if len(data) > MAX_BYTES:
        raise BadMessage("too_large", f"{len(data)} bytes, at most {MAX_BYTES}")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        # What cannot be read may be of a newer version.
        _check_version(data)
        raise BadMessage("malformed", str(error)) from error


def _check_event(event: Body) -> None:
    match event:
        case Said(began=began, ended=ended):
            _check_times(began, ended)
        case RecordingSaved(seconds=seconds):
            _check_times(seconds)
        case AudioMeasured(quality=quality) if not quality.is_finite:
            raise BadMessage("malformed", "a figure that cannot be")


def _check_version(data: bytes) -> None:
    try:
        version = _version.decode(data).v  # type: ignore[attr-defined]
    except (msgspec.DecodeError, RecursionError, ValueError):
        return
    if version > VERSION:
        raise BadMessage("unsupported_version", f"version {version}, this node reads up to {VERSION}")


def _check_times(*times: float) -> None:
    if not all(map(math.isfinite, times)):
        raise BadMessage("malformed", "a time that cannot be")
