"""RTP packets: what is written is read, what does not fit together is refused."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.rtp import ahead, is_rtcp, level_of, read_packet, write_header

BYTE = st.integers(0, 255)
NUMBER = st.integers(0, 2**16 - 1)
TIME = st.integers(0, 2**32 - 1)


@given(st.integers(0, 127), st.booleans(), NUMBER, TIME, TIME, st.binary(max_size=50))
def test_what_is_written_is_read(
    kind: int, marker: bool, sequence: int, timestamp: int, source: int, payload: bytes
) -> None:
    packet = write_header(kind, marker, sequence, timestamp, source) + payload
    assert read_packet(packet) == (kind, marker, sequence, timestamp, source, payload, b"")


@given(
    st.lists(TIME, max_size=15),
    st.none() | st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4]),
    st.integers(0, 20),
    st.binary(max_size=30),
)
def test_the_payload_lies_behind_sources_and_extension_and_before_the_padding(
    sources: list[int], extension: bytes | None, padding: int, payload: bytes
) -> None:
    first = 0x80 | len(sources) | (extension is not None) << 4 | (padding > 0) << 5
    packet = bytes([first, 111]) + write_header(111, False, 7, 960, 42)[2:] + b"".join(pack("!I", s) for s in sources)
    if extension is not None:
        packet += pack("!HH", 0xBEDE, len(extension) // 4) + extension
    packet += payload
    if padding:
        packet += bytes(padding - 1) + bytes([padding])
    found = b"" if extension is None else pack("!HH", 0xBEDE, len(extension) // 4) + extension
    assert read_packet(packet) == (111, False, 7, 960, 42, payload, found)


ELEMENTS = st.lists(
    st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)), max_size=6, unique_by=lambda one: one[0]
)


@given(ELEMENTS, st.booleans())
def test_the_level_is_found_among_other_elements(elements: list[tuple[int, bytes]], padded: bool) -> None:
    extension = b"\xbe\xde\0\0"
    for number, data in elements:
        extension += bytes([number << 4 | len(data) - 1]) + data + bytes(2 * padded)
    held = dict(elements)
    for number in range(1, 15):
        assert level_of(extension, number) == (-(held[number][0] & 0x7F) if number in held else None)


def test_an_extension_of_another_form_tells_no_level() -> None:
    assert level_of(b"\xbe\xde\0\1\x10\xaf\0\0", 1) == -47
    assert level_of(b"\x10\x00\0\1\x10\xaf\0\0", 1) is None
    assert level_of(b"", 1) is None
    # The id 15 ends the elements (RFC 8285 4.2); an element may be cut off.
    assert level_of(b"\xbe\xde\0\1\xf0\x10\xaf\0", 1) is None
    assert level_of(b"\xbe\xde\0\1\0\0\0\x10", 1) is None


@given(st.binary(max_size=80) | st.tuples(st.integers(128, 191), st.binary(min_size=11, max_size=40)).map(
    lambda found: bytes([found[0]]) + found[1]
))  # fmt: skip
def test_any_bytes_give_a_packet_within_them_or_none(data: bytes) -> None:
    found = read_packet(data)
    if found is not None:
        assert len(data) >= 12 + len(found[5])
        assert found[5] in data


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(11),
        bytes(12),
        b"\x40" + bytes(30),
        b"\x8f" + bytes(30),
        b"\x90" + bytes(11),
        b"\x90" + bytes(13) + b"\xff\xff" + bytes(30),
        b"\xa0" + bytes(30),
        b"\xa0" + bytes(12) + b"\x20",
    ],
    ids=["empty", "short", "version 0", "version 1", "sources", "no extension", "extension", "no padding", "padding"],
)
def test_lengths_that_lie_are_refused(packet: bytes) -> None:
    assert read_packet(packet) is None


def test_reports_are_told_from_media_by_their_type() -> None:
    kinds = [kind for kind in range(256) if is_rtcp(bytes([0x80, kind]))]
    assert kinds == list(range(192, 224))


@given(NUMBER, st.integers(-(2**15), 2**15 - 1))
def test_numbers_wrap(reference: int, distance: int) -> None:
    assert ahead((reference + distance) % 2**16, reference) == distance
