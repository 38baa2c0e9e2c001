"""The judge of WebSocket frames: however the bytes are cut, it says the same, and passes on only what came in."""

import itertools
import struct

from hypothesis import given
from hypothesis import strategies as st

from offhook.services.gateway.frames import FrameScanner, Violation
from offhook.services.gateway.limits import Limits

LIMITS = Limits(message_bytes=300, fragments=3, messages_per_second=4, pings_per_second=4)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One frame, mostly a good one."""
    payload = draw(st.one_of(st.binary(max_size=130), st.text(max_size=130).map(str.encode)))
    opcode = draw(st.sampled_from([1, 1, 1, 0, 9, 10, 8, 2, 3]))
    first = opcode | draw(st.sampled_from([0x80, 0x80, 0x80, 0x00, 0xC0]))
    mask = draw(st.sampled_from([0x80, 0x80, 0x80, 0x80, 0x00]))
    size = len(payload)
    length = bytes([size | mask]) if size < 126 else bytes([126 | mask]) + struct.pack("!H", size)
    key = draw(st.binary(min_size=4, max_size=4)) if mask else b""
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if key else payload
    return bytes([first]) + length + key + masked


streams = st.one_of(st.binary(max_size=400), st.lists(frames(), max_size=12).map(b"".join))


def judge(pieces: list[bytes]) -> tuple[list[bytes], int | None]:
    """Frames that pass and the Close code of the first breach, all at one moment."""
    scanner, passed = FrameScanner(LIMITS), []
    try:
        for piece in pieces:
            scanner.feed(piece, 0.0)
            while (frame := scanner.next_frame(0.0)) is not None:
                passed.append(frame)
    except Violation as violation:
        return passed, violation.code
    return passed, None


@given(streams, st.lists(st.integers(0, 2000), max_size=10))
def test_cuts_make_no_difference(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in itertools.pairwise(edges)]
    assert judge(pieces) == judge([stream])
    assert judge([stream[at : at + 1] for at in range(len(stream))]) == judge([stream])


@given(streams)
def test_only_what_came_passes_and_breaches_have_a_code(stream: bytes) -> None:
    passed, code = judge([stream])
    assert stream.startswith(b"".join(passed))
    assert code in {None, 1002, 1003, 1007, 1008, 1009, 4429}


def test_the_deadline_covers_frame_and_message() -> None:
    assert FrameScanner(LIMITS).deadline is None
    scanner = FrameScanner(LIMITS)
    scanner.feed(b"\x01", 10.0)
    assert scanner.deadline == 10.0 + LIMITS.message_seconds
    scanner.feed(b"\x80\0\0\0\0", 12.0)
    assert scanner.next_frame(12.0) is not None
    assert scanner.next_frame(12.0) is None
    assert scanner.deadline == 10.0 + LIMITS.message_seconds
    # A ping in between buys no time.
    scanner.feed(b"\x89\x80\0\0\0\0\x80", 12.5)
    assert scanner.next_frame(12.5) is not None
    assert scanner.next_frame(12.5) is None
    assert scanner.deadline == 10.0 + LIMITS.message_seconds
    scanner.feed(b"\x80\0\0\0\0", 13.0)
    assert scanner.next_frame(13.0) is not None
    assert scanner.next_frame(13.0) is None
    assert scanner.deadline is None


def test_rates_are_counted_within_any_second() -> None:
    scanner = FrameScanner(LIMITS)
    for at in range(40):
        scanner.feed(b"\x81\x80\0\0\0\0", at * 0.26)
        assert scanner.next_frame(at * 0.26) is not None
