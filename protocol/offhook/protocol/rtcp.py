"""RTCP packets on the wire (RFC 3550 6), as far as a call with one audio stream needs them.

Several packets come in one datagram. Of them the reports of senders and receivers are read; what else there is (names,
goodbyes, feedback, extended reports) is stepped over. Written is a sender report with our name behind it (6.1).
"""

from collections.abc import Sequence
from struct import Struct

import msgspec

_HEAD = Struct("!BBH")
_SENDER = Struct("!QIII")
_BLOCK = Struct("!IIIIII")
_WORD, _SOURCE = 4, 4
_VERSION = 2
#: Packet types (12.1), and the item of a source description that is its name (6.5.1).
_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION = 200, 201, 202
_CNAME = 1
#: Seconds from the beginning of 1900, where NTP counts from, to that of 1970.
_EPOCHS = 2_208_988_800
_LOST_BITS = 24


class Sender(msgspec.Struct, frozen=True):
    """What a sender tells of its own stream (6.4.1)."""

    #: When the report was made: NTP time, 32 bits of seconds and 32 of their fraction; and the same as RTP timestamp.
    ntp: int
    timestamp: int
    #: Packets and bytes of payload sent so far.
    packets: int
    octets: int


class Block(msgspec.Struct, frozen=True):
    """What a receiver tells of one source (6.4.1)."""

    source: int
    #: Part of the packets since the last report that was lost, in 256ths; 0 to 255.
    fraction: int
    #: Packets lost so far; negative where more came than were sent.
    lost: int
    #: Highest sequence number so far, with its roll-overs above.
    highest: int
    #: Jitter in RTP timestamps.
    jitter: int
    #: Middle 32 bits of the NTP time in the source's last report, and how long ago it came, in 65536ths of a second.
    last_report: int
    delay: int


class Report(msgspec.Struct, frozen=True):
    """A sender report (SR) or a receiver report (RR), which has no ``sender``."""

    source: int
    sender: Sender | None
    blocks: tuple[Block, ...]


def ntp_time(at: float) -> int:
    """NTP time of a moment in seconds since 1970."""
    return int((at + _EPOCHS) * 2**32) % 2**64


def middle(ntp: int) -> int:
    """The part of an NTP time that reports repeat: 16 bits of seconds, 16 of their fraction."""
    return ntp >> 16 & 0xFFFFFFFF


def read_reports(data: bytes) -> list[Report] | None:
    """The reports in a datagram; None where its lengths do not fit together (A.2)."""
    reports = []
    at = 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            return None
        first, kind, words = _HEAD.unpack_from(data, at)
        body, at = at + _HEAD.size, at + (words + 1) * _WORD
        end = at
        if first >> 6 != _VERSION or at > len(data):
            return None
        if first & 0x20:
            # The last byte counts the padding, itself included; only the last packet may have some (6.4.1).
            end -= data[at - 1]
            if at < len(data) or end == at or end < body:
                return None
        if kind in (_SENDER_REPORT, _RECEIVER_REPORT):
            report = _read_report(data, body, end, kind, first & 0x1F)
            if report is None:
                return None
            reports.append(report)
    return reports if data else None


def write_reports(source: int, sender: Sender, blocks: Sequence[Block], name: str) -> bytes:
    """A sender report and the name of its source (CNAME), at most 255 bytes of it. Counts wrap as the fields do."""
    report = _SENDER.pack(sender.ntp, sender.timestamp, sender.packets % 2**32, sender.octets % 2**32)
    items = bytes([_CNAME, len(name.encode())]) + name.encode()
    # A zero ends the items, more of them fill the word (6.5).
    items += bytes(_WORD - len(items) % _WORD)
    return _packet(_SENDER_REPORT, len(blocks), source, report + b"".join(map(_write_block, blocks))) + _packet(
        _DESCRIPTION, 1, source, items
    )


def _read_report(data: bytes, at: int, end: int, kind: int, count: int) -> Report | None:
    fixed = _SOURCE + (_SENDER.size if kind == _SENDER_REPORT else 0)
    # What follows the blocks is an extension of some profile.
    if at + fixed + count * _BLOCK.size > end:
        return None
    source = int.from_bytes(data[at : at + _SOURCE])
    sender = Sender(*_SENDER.unpack_from(data, at + _SOURCE)) if kind == _SENDER_REPORT else None
    blocks = (_BLOCK.unpack_from(data, at + fixed + number * _BLOCK.size) for number in range(count))
    return Report(source, sender, tuple(_read_block(*fields) for fields in blocks))


def _read_block(source: int, losses: int, highest: int, jitter: int, last_report: int, delay: int) -> Block:
    lost = losses % 2**_LOST_BITS
    if lost >= 2 ** (_LOST_BITS - 1):
        lost -= 2**_LOST_BITS
    return Block(source, losses >> _LOST_BITS, lost, highest, jitter, last_report, delay)


def _write_block(block: Block) -> bytes:
    bound = 2 ** (_LOST_BITS - 1)
    lost = max(-bound, min(block.lost, bound - 1)) % 2**_LOST_BITS
    losses = min(block.fraction, 255) << _LOST_BITS | lost
    return _BLOCK.pack(
        block.source,
        losses,
        block.highest % 2**32,
        min(block.jitter, 2**32 - 1),
        block.last_report,
        min(block.delay, 2**32 - 1),
    )


def _packet(kind: int, count: int, source: int, body: bytes) -> bytes:
    head = _HEAD.pack(_VERSION << 6 | count, kind, (_SOURCE + len(body)) // _WORD)
    return head + source.to_bytes(_SOURCE) + body
