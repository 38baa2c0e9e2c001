"""WebSocket frames of a client (RFC 6455 5.2), judged before trio-websocket sees them.

trio-websocket counts characters where bytes are what costs, and drops the connection without a Close frame when a
client breaks the protocol. So the stream under it is scanned: whole frames that keep the rules pass on as they are,
and the first one that breaks them is a ``Violation`` with the Close code the client shall see. The payload is unmasked
only to be judged.
"""

import codecs
from collections import deque

import msgspec

from offhook.protocol.errors import OffhookError, Reason, Refusal
from offhook.services.gateway.limits import Limits

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_KEY = 4


class Violation(OffhookError):
    """The client broke a rule; ``code`` is the Close code for it (RFC 6455 7.4.1).

    ``refusal`` is for the client's eyes before the Close frame, None where the frames themselves are broken.
    """

    def __init__(self, code: int, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.refusal = refusal


class _Header(msgspec.Struct, frozen=True):
    final: bool
    opcode: int
    #: Bytes before the payload, masking key included, and of the payload.
    size: int
    length: int


class FrameScanner:
    """Judges the bytes of one client. Times are given as ``now`` in seconds of any clock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        #: The message in the making: its fragments and bytes so far, None between messages.
        self._fragments: int | None = None
        self._message_bytes = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self._began: float | None = None
        self._messages: deque[float] = deque(maxlen=limits.messages_per_second + 1)
        self._pings: deque[float] = deque(maxlen=limits.pings_per_second + 1)
        self._closed = False

    @property
    def deadline(self) -> float | None:
        """When the frame or message that has begun must be complete, None between messages."""
        return None if self._began is None else self._began + self._limits.message_seconds

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes from the client; nothing is kept after a Close frame (RFC 6455 5.5.1)."""
        if not self._closed:
            self._buffer += data
            if self._began is None:
                self._began = now

    def next_frame(self, now: float) -> bytes | None:
        """The next whole frame, masked as it came, or None until more bytes are fed. Raises ``Violation``."""
        header = self._read_header()
        if header is None or len(self._buffer) < header.size + header.length:
            if not self._buffer and self._fragments is None:
                self._began = None
            return None
        frame = bytes(self._buffer[: header.size + header.length])
        del self._buffer[: len(frame)]
        payload = _unmask(frame[header.size :], frame[header.size - _KEY : header.size])
        if header.opcode >= _CLOSE:
            self._judge_control(header.opcode, payload, now)
        else:
            self._judge_data(header, payload, now)
        return frame

    def _read_header(self) -> _Header | None:
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[0], self._buffer[1]
        final, opcode, short = bool(first & 0x80), first & 0x0F, second & 0x7F
        self._judge_first_bytes(first, second)
        extra = {126: 2, 127: 8}.get(short, 0)
        if len(self._buffer) < 2 + extra:
            return None
        length = int.from_bytes(self._buffer[2 : 2 + extra], "big") if extra else short
        if extra and length < (126 if extra == 2 else 1 << 16):
            raise Violation(1002, "payload length not in its shortest form")
        if opcode < _CLOSE and self._message_bytes + length > self._limits.message_bytes:
            raise self._too_large()
        return _Header(final, opcode, 2 + extra + _KEY, length)

    def _judge_first_bytes(self, first: int, second: int) -> None:
        """What the first two bytes of a frame tell."""
        opcode = first & 0x0F
        if first & 0x70:
            raise Violation(1002, "reserved bit set without an extension")
        if opcode not in _OPCODES:
            raise Violation(1002, "reserved opcode")
        if not second & 0x80:
            raise Violation(1002, "frame of a client must be masked")
        if opcode >= _CLOSE:
            if not first & 0x80 or second & 0x7F > 125:
                raise Violation(1002, "control frame fragmented or too long")
        elif opcode == _BINARY:
            message = "Binary frames are not supported; send JSON as text."
            raise Violation(1003, "binary frame", Refusal(Reason.UNSUPPORTED_FRAME, message))
        elif (opcode == _CONTINUATION) != (self._fragments is not None):
            raise Violation(1002, "continuation out of place")

    def _judge_control(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == _CLOSE:
            _judge_close(payload)
            self._closed = True
            self._buffer.clear()
        elif _too_many(self._pings, now):
            raise Violation(1008, "too many pings")
        self._began = now if self._buffer and self._fragments is None else self._began

    def _judge_data(self, header: _Header, payload: bytes, now: float) -> None:
        self._fragments = (self._fragments or 0) + 1
        self._message_bytes += header.length
        if self._fragments > self._limits.fragments:
            raise self._too_large()
        try:
            self._utf8.decode(payload, header.final)
        except UnicodeDecodeError as error:
            raise Violation(1007, "text is not UTF-8") from error
        if not header.final:
            return
        self._utf8.reset()
        self._fragments, self._message_bytes = None, 0
        self._began = now if self._buffer else None
        if _too_many(self._messages, now):
            wait = max(1, round((self._messages[0] + 1 - now) * 1000))
            message = f"More than {self._limits.messages_per_second} messages in a second; wait before you reconnect."
            raise Violation(4429, "too many messages", Refusal(Reason.RATE_LIMITED, message, retry_after_ms=wait))

    def _too_large(self) -> Violation:
        limit = self._limits
        message = f"A message may have at most {limit.message_bytes} bytes in {limit.fragments} fragments."
        return Violation(1009, "message too large", Refusal(Reason.MESSAGE_TOO_LARGE, message))


def close_frame(code: int, reason: str) -> bytes:
    """A Close frame as a client would send it, masked with zeros; ``reason`` is short and ASCII."""
    payload = code.to_bytes(2, "big") + reason.encode("ascii")
    return bytes([0x80 | _CLOSE, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def _judge_close(payload: bytes) -> None:
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else 0
    # RFC 6455 7.4: 1004 to 1006 and 1015 never travel, 1016 to 2999 are not given out.
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise Violation(1002, "invalid close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError as error:
        raise Violation(1007, "close reason is not UTF-8") from error


def _too_many(times: deque[float], now: float) -> bool:
    """Whether the one that comes ``now`` is one too many within a second."""
    times.append(now)
    return len(times) == times.maxlen and now - times[0] < 1.0


def _unmask(payload: bytes, key: bytes) -> bytes:
    """RFC 6455 5.3, as one exclusive-or of two long integers."""
    size = len(payload)
    mask = (key * (size // _KEY + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
