"""What an Opus packet tells without being decoded: the same that libopus reads in it (RFC 6716)."""

import av
import cffi  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offhook.protocol.jitter import Conceal, Decision, Decode, Prompt, Recover
from offhook.protocol.opus_packet import QUIET_BYTES, redundant_ticks, ticks_of
from offhook.protocol.rtp import CLOCK, TICKS

ffi = cffi.FFI()
ffi.cdef(
    "int opus_packet_has_lbrr(const unsigned char *, int32_t);"
    "int opus_packet_get_samples_per_frame(const unsigned char *, int32_t);"
)


def library() -> str:
    """The libopus that came into the process with PyAV."""
    assert av
    with open("/proc/self/maps") as maps:
        return next(line.split()[-1] for line in maps if "libopus" in line)


LIB = ffi.dlopen(library())
#: Every configuration, mono and stereo, in each packing, with a first frame that begins with any byte.
PACKETS = st.builds(
    lambda toc, count, body: bytes([toc]) + (bytes([count]) if toc & 3 == 3 else b"") + body,
    st.integers(0, 255),
    st.integers(0, 63) | st.integers(128, 191),
    st.binary(max_size=40),
)


@given(PACKETS)
@example(b"\x48\x40\x00\x00")
@example(b"\x4c\x10\x00\x00")
@example(b"\x58\x10\x00\x00")
@example(b"\x5c\x01\x00\x00")
def test_redundancy_is_seen_where_libopus_sees_it(packet: bytes) -> None:
    seen = len(packet) > QUIET_BYTES and LIB.opus_packet_has_lbrr(packet, len(packet)) == 1
    frame = LIB.opus_packet_get_samples_per_frame(packet, 48_000)
    assert redundant_ticks(packet) == (frame if seen else 0)


@pytest.mark.parametrize(
    ("following", "recovered"),
    [
        (b"\x48\x40\x00\x00", TICKS),
        (b"\x48\x00\x00\x00", 0),
        (b"\xf8\x40\x00\x00", 0),
        (b"\x58\x00\x00\x00", 0),
        # 60 ms in one frame, and 40 ms in two, of which only one is there again.
        (b"\x58\x10\x00\x00", 3 * TICKS),
        (b"\x49\x40\x00\x00\x00", TICKS),
    ],
)
def test_what_no_packet_holds_is_not_recovered(following: bytes, recovered: int) -> None:
    buffer, decisions, length = Prompt(), list[Decision](), ticks_of(following)
    for number in (0, 2, 3):
        buffer.put(number, number * length, following, number * length / CLOCK)
        while (decision := buffer.take(number * length / CLOCK)) is not None:
            decisions.append(decision)
    first, *between, _, _ = decisions
    assert isinstance(first, Decode)
    assert sum(one.ticks for one in between) == length
    assert [type(one) for one in between][-1] == (Recover if recovered else Conceal)
    assert (buffer.counts.recovered, buffer.counts.concealed) == (recovered, length - recovered)
