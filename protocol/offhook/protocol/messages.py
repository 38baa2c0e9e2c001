"""Messages between actors: one envelope around facts, orders and log entries, as msgpack.

Facts (``CallEvent``) go to the session actor. Orders (``CallEffect``) go from it to the others, stamped with the
owner's epoch. A few messages pass between two of the others and never touch the state of a call: candidates, text,
digits and information from the page.
"""

from typing import TypeVar

import msgspec

from offhook.protocol.call.effects import CallEffect
from offhook.protocol.call.events import CallEvent
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


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What travels on the bus."""

    #: Version of this format.
    v: int = VERSION
    call: str
    #: Epoch of the owner that speaks; 0 from those that own nothing.
    owner: int = 0
    #: Of an order: the position in the call's log that it follows from.
    seq: int = 0
    #: Of a report to the session: who sends it, and its number there, from 1.
    source: str = ""
    number: int = 0
    body: Body


class BadMessage(OffhookError):
    """Bytes from the bus that are no message of ours; ``reason`` is a stable word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()
_version = msgspec.msgpack.Decoder(msgspec.defstruct("Version", [("v", int, 0)]))
_envelope = msgspec.msgpack.Decoder(Envelope)


def encode(message: object) -> bytes:
    """Bytes of an envelope, a log entry or any other Struct."""
    return _encoder.encode(message)


def decode_envelope(data: bytes) -> Envelope:
    """Read an envelope.

    Raises ``BadMessage`` with ``too_large``, ``malformed`` or ``unsupported_version``; never anything else.
    """
    if len(data) > MAX_BYTES:
        raise BadMessage("too_large", f"{len(data)} bytes, at most {MAX_BYTES}")
    try:
        version = _version.decode(data).v  # type: ignore[attr-defined]
        if version > VERSION:
            raise BadMessage("unsupported_version", f"version {version}, this node reads up to {VERSION}")
        return _envelope.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadMessage("malformed", str(error)) from error
