"""Opus packets from the outside: what frames they hold, and the same frames in another packing (RFC 6716 3, B).

Nothing is decoded here. A packet is one byte that tells configuration, channels and packing (the TOC), and then frames
of one and the same kind; they can be taken apart and put together again without touching the sound in them.
"""

from collections.abc import Sequence

import msgspec

from offhook.protocol.errors import OffhookError

#: Samples in 20 ms at 48 kHz, the unit that recordings are made of.
UNIT = 960
#: The longest packet and its most frames (RFC 6716 3.2.5).
LONGEST = 5760
MAX_FRAMES = 48
#: The longest frame, bytes (RFC 6716 3.2.1).
MAX_FRAME = 1275
#: 20 ms of digital silence: a CELT frame, mono, full band, that says so with its first bit (RFC 6716 4.3).
SILENCE = b"\xf8\xff\xfe"


class BadPacket(OffhookError):
    """These bytes are no Opus packet."""


class Packet(msgspec.Struct, frozen=True):
    """An Opus packet taken apart."""

    #: Configuration and channels: the TOC byte without its two bits for the packing.
    kind: int
    frames: tuple[bytes, ...]

    @property
    def frame_samples(self) -> int:
        """Length of each frame, in samples of 48 kHz."""
        return _frame_samples(self.kind)

    @property
    def samples(self) -> int:
        """Length of the packet, in samples of 48 kHz."""
        return self.frame_samples * len(self.frames)


def parse(data: bytes) -> Packet:
    """Take a packet apart (RFC 6716 3.2). Raises ``BadPacket``."""
    if not data:
        raise BadPacket("A packet has at least one byte.")
    kind, body = data[0] & 0xFC, data[1:]
    match data[0] & 3:
        case 0:
            frames: tuple[bytes, ...] = (body,)
        case 1:
            if len(body) % 2:
                raise BadPacket("Two frames of one size have an even number of bytes.")
            frames = (body[: len(body) // 2], body[len(body) // 2 :])
        case 2:
            size, start = _read_size(body, 0)
            frames = (body[start : start + size], body[start + size :])
            if start + size > len(body):
                raise BadPacket("The first frame is longer than the packet.")
        case _:
            frames = _parse_many(body)
    if any(len(frame) > MAX_FRAME for frame in frames):
        raise BadPacket(f"A frame has at most {MAX_FRAME} bytes.")
    packet = Packet(kind, frames)
    if packet.samples > LONGEST:
        raise BadPacket("A packet is at most 120 ms long.")
    return packet


def write(packet: Packet, *, delimited: bool = False) -> bytes:
    """The bytes of a packet; ``delimited`` ones tell where they end, so that another may follow (RFC 6716 B)."""
    frames, kind = packet.frames, packet.kind
    sizes = [_size(len(frame)) for frame in frames]
    alike = len({len(frame) for frame in frames}) == 1
    last = sizes[-1] if delimited else b""
    if len(frames) == 1:
        head = bytes((kind,)) + last
    elif len(frames) == 2:
        head = bytes((kind | 1,)) + last if alike else bytes((kind | 2,)) + sizes[0] + last
    elif alike:
        head = bytes((kind | 3, len(frames))) + last
    else:
        head = bytes((kind | 3, 0x80 | len(frames))) + b"".join(sizes[:-1]) + last
    return head + b"".join(frames)


def units(packet: Packet) -> list[Packet] | None:
    """The packet as packets of 20 ms each; None where its frames do not let that be."""
    per_unit, rest = divmod(UNIT, packet.frame_samples)
    if rest or len(packet.frames) % per_unit:
        return None
    return [Packet(packet.kind, packet.frames[at : at + per_unit]) for at in range(0, len(packet.frames), per_unit)]


def is_empty(packet: Packet) -> bool:
    """Whether there is no sound in the packet: a sender that keeps quiet (DTX)."""
    return not any(packet.frames)


def _frame_samples(kind: int) -> int:
    configuration = kind >> 3
    if configuration < 12:
        return (480, 960, 1920, 2880)[configuration % 4]
    if configuration < 16:
        return (480, 960)[configuration % 2]
    return (120, 240, 480, 960)[configuration % 4]


def _parse_many(body: bytes) -> tuple[bytes, ...]:
    """The frames behind a TOC of code 3 (RFC 6716 3.2.5)."""
    if not body:
        raise BadPacket("The number of frames is missing.")
    count, padded, varying, at = body[0] & 0x3F, body[0] & 0x40, body[0] & 0x80, 1
    if not 1 <= count <= MAX_FRAMES:
        raise BadPacket(f"A packet has 1 to {MAX_FRAMES} frames.")
    padding = 0
    while padded:
        if at >= len(body):
            raise BadPacket("The length of the padding is missing.")
        value, at = body[at], at + 1
        padding += min(value, 254)
        if value < 255:
            break
    sizes = []
    if varying:
        for _ in range(count - 1):
            size, at = _read_size(body, at)
            sizes.append(size)
    left = len(body) - at - padding
    if varying:
        sizes.append(left - sum(sizes))
    else:
        if left < 0 or left % count:
            raise BadPacket("The frames are not of one size.")
        sizes = [left // count] * count
    if sizes[-1] < 0:
        raise BadPacket("The frames are longer than the packet.")
    return _cut(body, at, sizes)


def _cut(body: bytes, at: int, sizes: Sequence[int]) -> tuple[bytes, ...]:
    frames = []
    for size in sizes:
        frames.append(body[at : at + size])
        at += size
    return tuple(frames)


def _read_size(body: bytes, at: int) -> tuple[int, int]:
    """A length (RFC 6716 3.2.1), and where what follows it begins."""
    if at >= len(body):
        raise BadPacket("The length of a frame is missing.")
    if body[at] < 252:
        return body[at], at + 1
    if at + 1 >= len(body):
        raise BadPacket("The length of a frame is cut short.")
    return body[at + 1] * 4 + body[at], at + 2


def _size(length: int) -> bytes:
    if length < 252:
        return bytes((length,))
    low = 252 + (length & 3)
    return bytes((low, (length - low) // 4))
