"""RTP packets on the wire (RFC 3550 5), as far as a call with one audio stream needs them.

Reading gives a plain tuple and writing gives bytes: this runs a hundred times a second for each call. Contributing
sources are stepped over. Of the header extensions (RFC 8285) one is negotiated and read: how loud a packet's sound is
(RFC 6464). The name of the section (``mid``) is not: a call has one, and payload types tell what is in it.
"""

from struct import Struct

#: Payload type, marker, sequence number, timestamp, SSRC, payload, header extension (empty if there is none).
RtpPacket = tuple[int, bool, int, int, int, bytes, bytes]

#: RTP clock of Opus, Hz, and its ticks in a frame of 20 ms (RFC 7587 4.1).
CLOCK = 48_000
TICKS = CLOCK // 50

_HEADER = Struct("!BBHII")
_VERSION = 2
_WORD = 4
#: What an extension of elements with one byte of header begins with (RFC 8285 4.2), and the id that ends it.
_ONE_BYTE = b"\xbe\xde"
_STOP = 15


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet that shares its port with RTP is RTCP (RFC 5761 4). It has at least two bytes."""
    return 192 <= packet[1] <= 223


def read_packet(packet: bytes) -> RtpPacket | None:
    """What an RTP packet says (RFC 3550 5.1); None for one whose lengths do not fit together."""
    if len(packet) < _HEADER.size:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
    start, end = _HEADER.size, len(packet)
    extension = b""
    if first != _VERSION << 6:
        if first >> 6 != _VERSION:
            return None
        start += (first & 0x0F) * _WORD
        if first & 0x10:
            # A header extension: two bytes of its own, then its length in words (5.3.1).
            head = start
            start += _WORD
            if start > end:
                return None
            start += int.from_bytes(packet[start - 2 : start]) * _WORD
            extension = packet[head:start]
        if first & 0x20:
            # The last byte counts the padding, itself included.
            if packet[-1] == 0:
                return None
            end -= packet[-1]
        if start > end:
            return None
    return second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, packet[start:end], extension


def level_of(extension: bytes, number: int) -> int | None:
    """How loud the sound of a packet is, dBov: 0 (as loud as can be) to -127 (silence); None where it is not told.

    ``number`` is the id under which the level was negotiated (RFC 6464 3, RFC 8285 4.2).
    """
    if extension[:2] != _ONE_BYTE:
        return None
    at = _WORD
    while at < len(extension) - 1:
        found, size = extension[at] >> 4, (extension[at] & 0x0F) + 1
        if found == number:
            return -(extension[at + 1] & 0x7F)
        if found == _STOP:
            return None
        # A zero byte is padding.
        at += 1 if extension[at] == 0 else 1 + size
    return None


def write_header(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """The header of a packet without extension, padding and contributing sources (RFC 3550 5.1)."""
    return _HEADER.pack(_VERSION << 6, payload_type | marker << 7, sequence, timestamp, ssrc)


def ahead(number: int, reference: int, bits: int = 16) -> int:
    """How far a number that wraps lies ahead of another one; negative behind it (RFC 1982 3.2)."""
    half = 1 << (bits - 1)
    return (number - reference + half) % (2 * half) - half
