"""Ogg/Opus files, written page by page (RFC 3533, RFC 7845). Nothing here reads or writes a file.

A recording holds two sides as two mono Opus streams in each packet (channel mapping family 1, two streams, none
coupled): players see one stereo file, with the caller on the left and the agent on the right, and no side was encoded
again for it.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from struct import pack, pack_into

#: Segments of 255 bytes at most that one page can hold (RFC 3533 6).
MAX_SEGMENTS = 255
#: Flags of a page: the first and the last of its stream.
FIRST, LAST = 0x02, 0x04
_HEADER = 27
_CHECKSUM_AT = 22
#: Each byte with its bits turned around.
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
VENDOR = "offhook"


def checksum(page: bytes) -> int:
    """The CRC of a page whose checksum field is zero (RFC 3533 6, field 7).

    It is the CRC of zlib with its bits the other way round and nothing inverted; zlib is a hundred times faster than
    a loop over bytes here.
    """
    mirrored = zlib.crc32(page.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRROR), "big")


class OggStream:
    """The pages of one logical stream, in order. ``serial`` tells it from others in the same file."""

    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._sequence = 0

    def page(self, packets: Sequence[bytes], granule: int, *, flags: int = 0) -> bytes:
        """A page of whole packets; ``granule`` is the position behind the last of them, samples of 48 kHz.

        Raises ``ValueError`` when they do not fit: see ``fitting``.
        """
        segments = b"".join(_segments(packet) for packet in packets)
        if len(segments) > MAX_SEGMENTS:
            raise ValueError(f"{len(segments)} segments do not fit into a page of {MAX_SEGMENTS}")
        head = pack("<4sBBqIIIB", b"OggS", 0, flags, granule, self._serial, self._sequence, 0, len(segments))
        page = bytearray(head + segments + b"".join(packets))
        pack_into("<I", page, _CHECKSUM_AT, checksum(bytes(page)))
        self._sequence += 1
        return bytes(page)


def fitting(packets: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The packets in groups that fit into a page each. No packet may be longer than a page."""
    begin = used = 0
    for at, packet in enumerate(packets):
        needed = len(packet) // 255 + 1
        if used + needed > MAX_SEGMENTS and at > begin:
            yield packets[begin:at]
            begin, used = at, 0
        used += needed
    if begin < len(packets):
        yield packets[begin:]


def opus_head(*, pre_skip: int) -> bytes:
    """The identification header of a file with two mono streams (RFC 7845 5.1, 5.1.1.2).

    ``pre_skip`` is how many samples at the beginning are not to be played.
    """
    streams, coupled, left, right = 2, 0, 0, 1
    return pack("<8sBBHIhB4B", b"OpusHead", 1, 2, pre_skip, 48_000, 0, 1, streams, coupled, left, right)


def opus_tags(comments: Mapping[str, str]) -> bytes:
    """The comment header (RFC 7845 5.2). Names are ASCII without ``=``."""
    lines = [_text(f"{name}={value}") for name, value in comments.items()]
    return b"OpusTags" + _text(VENDOR) + pack("<I", len(lines)) + b"".join(lines)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return pack("<I", len(data)) + data


def _segments(packet: bytes) -> bytes:
    """The lacing values of a packet: as many 255 as fit, and the rest, which may be 0 (RFC 3533 5)."""
    whole, rest = divmod(len(packet), 255)
    return b"\xff" * whole + bytes((rest,))
