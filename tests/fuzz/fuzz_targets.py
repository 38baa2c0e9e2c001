"""What is fuzzed: everything that reads bytes of callers, or of strangers.

Each target takes any bytes and raises only if something is wrong: an error that the code does not promise, or a result
that breaks a rule. ``seeds`` are good inputs to begin with.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from aioice import stun
from hostile_datagrams import check, strangers

from offhook.protocol.candidates import check_candidate
from offhook.protocol.errors import Refusal
from offhook.protocol.jitter import Even, Prompt
from offhook.protocol.opus_packet import LONGEST_TICKS, ticks_of
from offhook.protocol.recording import (
    FIRST,
    BadPacket,
    OggStream,
    Side,
    Tracks,
    fitting,
    opus_head,
    opus_tags,
    parse,
    units,
)
from offhook.protocol.rtcp import read_reports
from offhook.protocol.rtp import level_of, read_packet
from offhook.protocol.sdp import MAX_CANDIDATES, MAX_MEDIA, check_offer
from offhook.protocol.stun import check_integrity, read_stun
from offhook.protocol.telephone_event import KEYS, Digits
from offhook.services.media.answer import write_answer
from offhook.services.media.guard import Guard
from offhook.services.media.opus import OpusDecoder
from offhook.services.media.reports import Reports

OFFERS = Path(__file__).parent.parent / "protocol/offers"
USER, PASSWORD = "abcd", "p" * 22
STRANGER = ("192.0.2.2", 6000)


class Target(NamedTuple):
    """A function to feed, and good inputs for it."""

    feed: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def rtp(data: bytes) -> None:
    """A decrypted RTP packet, up to the numbers of the reception report."""
    read = read_packet(data)
    if read is None:
        return
    kind, _, sequence, timestamp, ssrc, payload, extension = read
    assert all(-127 <= (level_of(extension, number) or 0) <= 0 for number in range(1, 15))
    assert 0 <= kind < 128 and len(payload) <= len(data) - 12 and payload in data
    assert 0 < ticks_of(payload) <= LONGEST_TICKS
    reports = Reports(1)
    reports.count(ssrc, sequence, timestamp)
    reports.count(ssrc, (sequence + len(data)) % 2**16, timestamp)
    assert read_reports(reports.write(1, 2**33, 2**33))


def rtcp(data: bytes) -> None:
    """A decrypted RTCP packet."""
    reports = Reports(1)
    for report in read_reports(data) or ():
        reports.note(report)
    assert read_reports(reports.write(1, 2, 3))


def stun_message(data: bytes) -> None:
    """STUN of anybody: ours and another implementation agree on what is signed."""
    try:
        message = read_stun(data)
    except ValueError:
        return
    try:
        other = stun.parse_message(data)
    except Exception:  # it reads the values of attributes, too; the gate expects it to stumble
        return
    signed = check_integrity(data, message, PASSWORD.encode())
    assert signed == other.check_message_integrity(PASSWORD.encode())
    assert other.transaction_id == message.transaction


def guard(data: bytes) -> None:
    """Several datagrams of strangers, one after another: none passes unless it is signed, all are counted."""
    total: Counter[str] = Counter()
    it = Guard(USER, PASSWORD, lambda: 0.0, total)
    pieces = data.split(b"\xab\xcd")
    passed = [piece for piece in pieces if it.lets_pass(piece, STRANGER)]
    assert total.total() == it.dropped.total() == len(pieces) - len(passed)
    for piece in passed[:1]:
        assert check_integrity(piece, read_stun(piece), PASSWORD.encode())


def sdp(data: bytes) -> None:
    """An offer, and the answer to it."""
    refusal: Refusal | None = None
    try:
        offer = check_offer(data.decode("utf-8", "replace"), allow_loopback=True, allow_private=True)
    except Refusal as refused:
        refusal = refused
    if refusal is not None:
        assert refusal.reason.value.startswith(("sdp_", "too_many_candidates")) and refusal.message
        return
    assert len(offer.candidates) <= MAX_CANDIDATES and len(offer.sections) <= MAX_MEDIA
    answer = write_answer(offer, ["a=ice-ufrag:abcd"], 1)
    assert sum(line.startswith("m=audio 9") for line in answer.split("\r\n")) == 1
    assert sum(line.startswith("m=") for line in answer.split("\r\n")) == len(offer.sections)


def candidate(data: bytes) -> None:
    """A trickled candidate: what may be reached is never one of the forbidden places."""
    found = check_candidate(data.decode("utf-8", "replace"))
    if found is not None:
        assert 1024 <= found.port <= 65535 and 0 <= found.priority < 2**32
        assert not found.address.startswith(("127.", "10.", "192.168.", "169.254.", "0.", "224.", "::1", "fe80", "fd"))


def telephone_event(data: bytes) -> None:
    """Payloads of keys: four bytes each, timestamps from the bytes."""
    digits = Digits()
    for at in range(0, len(data), 5):
        key = digits.put(data[at], data[at + 1 : at + 5])
        assert key is None or key in KEYS


def jitter(data: bytes) -> None:
    """Packets in any order and of any size, to both buffers, while time goes on: each hands out bounded pieces."""
    prompt, even = Prompt(), Even()
    for number, at in enumerate(range(0, len(data) - 6, 7)):
        sequence, timestamp = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 6], "big")
        payload = data[at + 6 : at + 6 + data[at + 6] % 8]
        now = number * 0.013
        prompt.put(sequence, timestamp, payload, now)
        for _ in range(1000):
            if prompt.take(now) is None:
                break
        else:
            raise AssertionError("the buffer gives without end")
        even.put(sequence, timestamp, payload, now)
        even.take(now)


def opus_sound(data: bytes) -> None:
    """Several packets of any bytes to one decoder: it always gives sound."""
    decoder = OpusDecoder(16_000)
    for number, piece in enumerate(data.split(b"\xab\xcd")):
        for pcm in (decoder.recover(piece, number * 37 % 4000), decoder.decode(piece)):
            assert 0 < len(pcm) <= 2 * LONGEST_TICKS // 3 and len(pcm) % 2 == 0


def opus_packet(data: bytes) -> None:
    """An Opus packet taken apart and put together."""
    try:
        packet = parse(data)
    except BadPacket:
        return
    assert sum(map(len, packet.frames)) <= len(data)
    units(packet)


def ogg(data: bytes) -> None:
    """Any packets of both sides in an Ogg file: each page holds, and the packets come out of it again."""
    tracks = Tracks()
    packets: list[bytes] = []
    for number, piece in enumerate(data.split(b"\xab\xcd")):
        at = number * 0.01
        try:
            placed = units(parse(piece[4:]))
        except BadPacket:
            placed = None
        if placed is not None:
            tracks.put(Side(number % 2), at, int.from_bytes(piece[:4], "big"), placed)
        packets += tracks.take(at - 0.1)
    stream = OggStream(7)
    head, tags = opus_head(pre_skip=len(data) % 65536), opus_tags({"TITLE": data[:200].decode("utf-8", "replace")})
    written = stream.page([head], 0, flags=FIRST) + stream.page([tags], 0)
    for group in fitting(packets):
        written += stream.page(group, 960 * len(group))
    assert list(_packets_of(written)) == [head, tags, *packets]


def _packets_of(file: bytes) -> Iterator[bytes]:
    """A reader of its own, by RFC 3533 6."""
    number = 0
    while file:
        assert file[:5] == b"OggS\0" and int.from_bytes(file[18:22], "little") == number
        laces = file[27 : 27 + file[26]]
        end = 27 + len(laces) + sum(laces)
        page = file[:22] + bytes(4) + file[26:end]
        assert _crc(page) == int.from_bytes(file[22:26], "little")
        packet, at = b"", 27 + len(laces)
        for lace in laces:
            packet += file[at : at + lace]
            at += lace
            if lace < 255:
                yield packet
                packet = b""
        assert not packet
        file, number = file[end:], number + 1


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if value & 0x80000000 else value << 1
        table.append(value)
    return table


_TABLE = _table()


def _crc(page: bytes) -> int:
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _TABLE[value >> 24 ^ byte]
    return value


_PACKET = bytes([0x48]) + bytes(range(40))
_EXTENDED = b"\x91\xef\1\0" + bytes(8) + b"\xbe\xde\0\1" + bytes(4) + _PACKET
_REPORT = Reports(1).write(1, 2, 3)
_STRANGE = tuple(datagram for datagram, _ in strangers(USER).values())

TARGETS = {
    "rtp": Target(rtp, (b"\x80\x6f\0\1" + bytes(8) + _PACKET, _EXTENDED, b"\xa0" + bytes(15) + b"\3")),
    "rtcp": Target(rtcp, (_REPORT, b"\x81\xcb\0\1\0\0\0\1", b"\x81\xce\0\2" + bytes(8))),
    "stun": Target(stun_message, (check(f"{USER}:theirs", PASSWORD), *_STRANGE[9:])),
    "guard": Target(guard, (b"\xab\xcd".join(_STRANGE), check(f"{USER}:theirs", PASSWORD))),
    "sdp": Target(sdp, tuple(file.read_bytes() for file in sorted(OFFERS.iterdir()))),
    "candidate": Target(candidate, (b"candidate:1 1 udp 2122260223 198.51.100.7 50000 typ host generation 0",)),
    "telephone_event": Target(telephone_event, (b"\1\5\0\0\xa0\1\5\x80\1\x40\2\x0b\0\0\xa0",)),
    "jitter": Target(jitter, (bytes(range(70)), b"".join(bytes([0, n, 0, 0, n, 192, 72]) for n in range(40)))),
    "opus_packet": Target(opus_packet, (_PACKET, b"\x4b\x83\2\3" + bytes(20), b"\x4b\xc2\4\2" + bytes(20))),
    "opus_sound": Target(opus_sound, (_PACKET, _PACKET + b"\xab\xcd" + _PACKET)),
    "ogg": Target(ogg, (b"\xab\xcd".join(bytes([0, 0, n, 0]) + _PACKET for n in range(40)), bytes(800))),
}
