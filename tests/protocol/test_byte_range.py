"""``Range`` headers (RFC 9110 14): what is asked for, and what is passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.byte_range import NoSuchRange, read_range


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-", range(10)),
        ("bytes=3-5", range(3, 6)),
        ("bytes=3-99", range(3, 10)),
        ("bytes=-4", range(6, 10)),
        ("bytes=-99", range(10)),
        ("Bytes = 9-9", range(9, 10)),
    ],
)
def test_a_part_is_asked_for(header: str, asked: range) -> None:
    assert read_range(header, 10) == asked


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=٣-", "0-1"]
)
def test_what_is_no_range_asks_for_everything(header: str | None) -> None:
    assert read_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=-5", 0)]
)
def test_behind_the_end_there_is_nothing(header: str, size: int) -> None:
    with pytest.raises(NoSuchRange, match=f"{size} bytes"):
        read_range(header, size)


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,20}-\d{0,20}"), st.integers(0, 1000))
def test_whatever_comes_the_part_is_one_of_the_file(header: str, size: int) -> None:
    try:
        part = read_range(header, size)
    except NoSuchRange:
        return
    assert part is None or (0 <= part.start < part.stop <= size and part.step == 1)
