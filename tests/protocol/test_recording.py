"""Recordings in the making: Opus packets, Ogg pages, and both sides on one clock (covers R5).

What is written is read back by others: libopus takes packets apart, FFmpeg reads files.
"""

import io
from itertools import pairwise
from typing import NamedTuple

import av
import cffi  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.recording import (
    FIRST,
    LAST,
    BadPacket,
    OggStream,
    Packet,
    Side,
    Tracks,
    fitting,
    opus_head,
    opus_tags,
    parse,
    units,
)
from offhook.protocol.recording.ogg import MAX_SEGMENTS, checksum
from offhook.protocol.recording.packets import LONGEST, SILENCE, UNIT, write
from offhook.protocol.recording.tracks import MOST_LATE, PATIENCE, SLOT

#: Configuration and channels of a packet: all of them.
KINDS = st.integers(0, 63).map(lambda kind: kind << 2)
#: Configurations whose frames are 20 ms.
UNIT_KINDS = st.sampled_from([kind for kind in range(0, 256, 4) if Packet(kind, (b"",)).samples == UNIT])
FRAME = st.binary(max_size=40) | st.integers(250, 1275).map(bytes)
ffi = cffi.FFI()
ffi.cdef(
    "int opus_packet_parse(const unsigned char *, int32_t, unsigned char *, const unsigned char **, int16_t *, int *);"
)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    kind = draw(KINDS)
    most = min(48, LONGEST // Packet(kind, (b"",)).samples)
    return Packet(kind, tuple(draw(st.lists(FRAME, min_size=1, max_size=most))))


def parsed_by_libopus(data: bytes) -> tuple[bytes, ...] | None:
    """The frames that libopus finds in a packet; None where it finds none."""
    lib = ffi.dlopen(LIBRARY)
    toc, frames, sizes = ffi.new("unsigned char *"), ffi.new("unsigned char *[48]"), ffi.new("int16_t[48]")
    given_data = ffi.from_buffer(data) if data else ffi.NULL
    count = lib.opus_packet_parse(given_data, len(data), toc, frames, sizes, ffi.NULL)
    return None if count < 0 else tuple(bytes(ffi.buffer(frames[at], sizes[at])) for at in range(count))


def library() -> str:
    """The libopus that came into the process with PyAV."""
    with open("/proc/self/maps") as maps:
        return next(line.split()[-1] for line in maps if "libopus" in line)


LIBRARY = library()

# ── packets ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(packets())
def test_a_packet_is_put_together_and_taken_apart(packet: Packet) -> None:
    assert parse(write(packet)) == packet
    assert parsed_by_libopus(write(packet)) == packet.frames


@given(st.binary(max_size=60) | st.tuples(packets(), st.integers(0, 3)).map(lambda p: write(p[0])[: -p[1] or None]))
def test_whatever_bytes_come_libopus_sees_the_same_in_them(data: bytes) -> None:
    try:
        frames: tuple[bytes, ...] | None = parse(data).frames
    except BadPacket:
        frames = None
    assert frames == parsed_by_libopus(data)


@given(packets())
def test_units_have_the_same_frames_and_20_ms_each(packet: Packet) -> None:
    found = units(packet)
    if found is None:
        assert packet.samples % UNIT or packet.frame_samples > UNIT
    else:
        assert [unit.samples for unit in found] == [UNIT] * (packet.samples // UNIT)
        assert tuple(frame for unit in found for frame in unit.frames) == packet.frames


# ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def slow_checksum(page: bytes) -> int:
    """As RFC 3533 puts it: bit by bit, from the top, with nothing inverted."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if value & 0x80000000 else value << 1
    return value


@given(st.binary(max_size=300))
def test_the_checksum_is_the_one_of_the_rfc(data: bytes) -> None:
    assert checksum(data) == slow_checksum(data)


def pages_of(packets: list[bytes], *, per_page: int = 25) -> list[tuple[bytes, int]]:
    """The pages of a file, each with how many packets are done with its end."""
    stream, position = OggStream(7), 0
    pages = [(stream.page([opus_head(pre_skip=312)], 0, flags=FIRST), 0)]
    pages.append((stream.page([opus_tags({"TITLE": "Ü=1"})], 0), 0))
    for begin in range(0, len(packets), per_page):
        for group in fitting(packets[begin : begin + per_page]):
            position += len(group)
            pages.append((stream.page(group, position * UNIT), position))
    return [*pages, (stream.page([], position * UNIT, flags=LAST), position)]


def read_by_ffmpeg(data: bytes) -> list[tuple[int, bytes]]:
    with av.open(io.BytesIO(data), "r") as file:
        assert file.streams.audio[0].metadata["TITLE"] == "Ü=1"
        assert file.streams.audio[0].codec_context.layout.name == "stereo"
        return [(packet.pts or 0, bytes(packet)) for packet in file.demux(audio=0) if packet.size]


@st.composite
def pairs(draw: st.DrawFn) -> bytes:
    """Two streams of 20 ms in one packet."""
    caller, agent = (Packet(draw(UNIT_KINDS), (draw(FRAME),)) for _ in range(2))
    return write(caller, delimited=True) + write(agent)


@given(st.lists(pairs(), min_size=1, max_size=60), st.integers(1, 60))
def test_what_is_written_is_read_back_by_others(packets: list[bytes], per_page: int) -> None:
    read = read_by_ffmpeg(b"".join(page for page, _ in pages_of(packets, per_page=per_page)))
    assert [data for _, data in read] == packets
    assert [after - before for (before, _), (after, _) in pairwise(read)] == [UNIT] * (len(packets) - 1)


@given(st.lists(pairs(), min_size=30, max_size=60), st.data())
def test_a_file_that_is_cut_off_plays_up_to_its_last_whole_page(packets: list[bytes], data: st.DataObject) -> None:
    pages = pages_of(packets, per_page=5)
    # FFmpeg does not open a file without any sound: at least the two headers and one page are there.
    whole = data.draw(st.integers(3, len(pages) - 1))
    rest = pages[whole][0]
    kept = rest[: data.draw(st.integers(0, len(rest) - 1))]
    read = read_by_ffmpeg(b"".join(page for page, _ in pages[:whole]) + kept)
    assert [packet for _, packet in read] == packets[: pages[whole - 1][1]]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        OggStream(1).page([bytes(255 * MAX_SEGMENTS)], 0)


# ── both sides on one clock ────────────────────────────────────────────────────────────────────────────────────────


def marked(number: int) -> Packet:
    return Packet(0xF8, (number.to_bytes(4, "big"),))


def slots_of(rows: list[bytes], side: Side) -> dict[int, int]:
    """Slot of each marked unit of a side."""
    found = {}
    for slot, row in enumerate(rows):
        # The first stream tells its length in its second byte.
        caller, agent = row[:1] + row[2 : 2 + row[1]], row[2 + row[1] :]
        if (data := (caller, agent)[side]) != SILENCE:
            packet = parse(data)
            found[int.from_bytes(packet.frames[0], "big")] = slot
    return found


@given(
    start=st.integers(0, 2**32 - 1),
    delays=st.lists(st.floats(0, 0.18), min_size=2, max_size=120),
    lost=st.sets(st.integers(1, 119)),
    quiet=st.integers(0, 100),
)
def test_packets_lie_where_they_were_spoken_whatever_the_network_does(
    start: int, delays: list[float], lost: set[int], quiet: int
) -> None:
    """Losses, delays, another order and a quiet time change nothing but by how late the first packet was."""
    tracks, came = Tracks(), list[tuple[float, int, int]]()
    for number, delay in enumerate(delays):
        slot = number + (quiet if number >= len(delays) // 2 else 0)
        if number not in lost:
            came.append((slot * SLOT + delay, slot, number))
    for at, slot, number in sorted(came):
        tracks.put(Side.CALLER, at, (start + slot * UNIT) % 2**32, [marked(number)])
    rows = list(tracks.take((len(delays) + quiet + 20) * SLOT))
    found = slots_of(rows, Side.CALLER)
    assert found.keys() == {number for _, _, number in came}
    shift = {found[number] - slot for _, slot, number in came}
    assert len(shift) == 1 and 0 <= shift.pop() <= 9
    assert not slots_of(rows, Side.AGENT)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats(0, 4)), max_size=30), st.floats(0, 5))
def test_whatever_timestamps_come_time_goes_on(packets: list[tuple[int, float]], until: float) -> None:
    """A packet is never placed in the future or long ago, so the file is as long as the call was."""
    tracks, rows = Tracks(), list[bytes]()
    for number, (timestamp, at) in enumerate(sorted(packets, key=lambda packet: packet[1])):
        rows += tracks.take(at - 0.4)
        tracks.put(Side.AGENT, at, timestamp, [marked(number)])
    rows += tracks.take(until + 5)
    assert len(rows) * UNIT == tracks.samples == int((until + 5) / SLOT) * UNIT
    assert len(slots_of(rows, Side.AGENT)) <= len(packets)


def test_another_source_goes_on_where_the_call_is() -> None:
    tracks = Tracks()
    tracks.put(Side.CALLER, 0.0, 1000, [marked(1)])
    tracks.put(Side.CALLER, 2.0, 3_000_000_000, [marked(2)])
    tracks.put(Side.CALLER, 2.02, 3_000_000_960, [marked(3)])
    assert slots_of(list(tracks.take(3)), Side.CALLER) == {1: 0, 2: 100, 3: 101}


def test_what_comes_after_its_slot_was_written_is_counted() -> None:
    tracks = Tracks()
    tracks.put(Side.CALLER, 0.0, 0, [marked(1)])
    assert len(list(tracks.take(0.1))) == 5
    tracks.put(Side.CALLER, 0.11, UNIT, [marked(2), marked(3), marked(4), marked(5), marked(6)])
    assert (tracks.lost, slots_of(list(tracks.take(0.2)), Side.CALLER)) == (4, {6: 0})
    assert MOST_LATE * SLOT == 3.0


class Trouble(NamedTuple):
    """What happens to a sender, or on its way, from unit ``begin`` on; ``amount`` in seconds."""

    kind: str
    begin: int
    amount: float


class Recorded(NamedTuple):
    """Slot of each unit that is on the recording, and how many were counted as lost."""

    slots: dict[int, int]
    lost: int


#: Units that a sender sends in these tests, how much is held back, and the time between two looks at what has come.
SENT, HELD_BACK, LOOK_EVERY = 1000, 0.4, 0.5


def record(troubles: list[Trouble], delays: list[float], *, drift: float = 0.0, phase: float = 0.0) -> Recorded:
    """Units of a sender on their way into a recording that is taken as the product does.

    Each is late by one of ``delays`` beside. ``drift``: how much slower the sender's clock is than ours.
    """
    came, shift = list[tuple[float, int]](), 0.0
    for number in range(SENT):
        shift += sum(one.amount for one in troubles if one.kind == "pause" and one.begin == number)
        at = number * SLOT * (1 + drift) + shift + delays[number % len(delays)]
        at += sum(one.amount for one in troubles if one.kind == "step" and number >= one.begin)
        stalls = [one for one in troubles if one.kind == "stall" and one.begin <= number]
        came.append((max([at, *(one.begin * SLOT + shift + one.amount for one in stalls)]), number))
    tracks, rows, look = Tracks(), list[bytes](), phase + LOOK_EVERY
    for at, number in sorted(came):
        while look <= at:
            rows += tracks.take(look - HELD_BACK)
            look += LOOK_EVERY
        tracks.put(Side.CALLER, at, (2**32 - 50_000 + number * UNIT) % 2**32, [marked(number)])
    rows += tracks.take(look + 1)
    return Recorded(slots_of(rows, Side.CALLER), tracks.lost)


TROUBLES = st.lists(
    st.builds(
        Trouble,
        st.sampled_from(["pause", "step", "stall"]),
        st.integers(100, SENT - 100),
        st.floats(0, 2.5).map(lambda seconds: round(seconds, 2)),
    ),
    max_size=3,
)
DELAYS = st.lists(st.floats(0, 0.1), min_size=1, max_size=20)


@given(TROUBLES, DELAYS, st.sampled_from([-0.01, -0.001, 0.0, 0.001, 0.01]), st.floats(0, 0.5))
def test_of_whatever_comes_nothing_is_doubled_or_in_another_order_and_what_is_missing_is_counted(
    troubles: list[Trouble], delays: list[float], drift: float, phase: float
) -> None:
    slots, lost = record(troubles, delays, drift=drift, phase=phase)
    assert len(slots) + lost == SENT
    assert [number for number, _ in sorted(slots.items(), key=lambda one: one[1])] == sorted(slots)
    assert len(set(slots.values())) == len(slots)


@given(st.sampled_from(["pause", "step"]), st.floats(0, 5), DELAYS, st.floats(0, 0.5))
def test_who_comes_later_for_good_loses_half_a_second_at_most(
    kind: str, seconds: float, delays: list[float], phase: float
) -> None:
    """A sender that stood still and goes on with the next timestamp, or a new route that takes longer."""
    slots, lost = record([Trouble(kind, 500, seconds)], delays, phase=phase)
    # While it has not been late for long enough; and what is on its way, overtaken, before and after.
    assert lost <= PATIENCE + 2 * max(delays) / SLOT + 2
    assert len(slots) == SENT - lost


@given(st.sampled_from([0.001, 0.01, 0.03]), DELAYS, st.floats(0, 0.5))
def test_of_a_clock_that_is_slow_nothing_is_lost(drift: float, delays: list[float], phase: float) -> None:
    slots, lost = record([], delays, drift=drift, phase=phase)
    # What came late by chance before it was seen that all do: at most what one second holds.
    assert lost <= 50
    assert slots[SENT - 1] >= SENT * (1 + drift) - 1 / SLOT


@given(st.sampled_from([0.001, 0.01, 0.03]), DELAYS, st.floats(0, 0.5))
def test_of_a_clock_that_is_fast_only_what_there_is_no_time_for_is_left_out(
    drift: float, delays: list[float], phase: float
) -> None:
    """It is left out in pieces of 20 ms, not a whole word at once."""
    slots, lost = record([], delays, drift=-drift, phase=phase)
    assert lost <= SENT * drift + max(delays) / SLOT + 2
    assert all(later - earlier <= 3 for earlier, later in pairwise(sorted(slots)))


@given(st.floats(0, 2.9), st.floats(0, 0.5))
def test_of_a_burst_after_a_stall_only_what_is_too_late_is_missing(seconds: float, phase: float) -> None:
    slots, lost = record([Trouble("stall", 500, seconds)], [0.0], phase=phase)
    assert lost <= max(0.0, seconds - HELD_BACK) / SLOT + 1
    assert {slots[number] - number for number in slots} == {0}
