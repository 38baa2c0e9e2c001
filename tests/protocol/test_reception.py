"""What a receiver reports: against a count that is made the slow way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.reception import MAX_DROPOUT, MAX_MISORDER, Reception
from offhook.protocol.rtp import CLOCK, TICKS


@given(st.integers(0, 2**16 - 1), st.lists(st.integers(0, MAX_MISORDER - 1), min_size=1, max_size=300))
def test_counts_whatever_arrives_in_whatever_order(first: int, order: list[int]) -> None:
    reception = Reception()
    for number in order:
        reception.count((first + number) % 2**16, number * TICKS, number / 50)
    # A receiver cannot know of packets before the first that it got.
    expected = max(order) - order[0] + 1
    assert reception.expected == expected
    assert reception.lost == expected - len(order)
    assert reception.highest == (first + order[0]) % 2**16 + expected - 1


def test_loss_is_reported_since_the_last_report() -> None:
    reception = Reception()
    assert reception.report_loss() == 0.0
    for number in range(65_500, 65_600):
        if number % 4:
            reception.count(number % 2**16, number * TICKS, number / 50)
    assert reception.report_loss() == pytest.approx(0.25, abs=0.01)
    for number in range(65_600, 65_700):
        reception.count(number % 2**16, number * TICKS, number / 50)
    assert reception.report_loss() == pytest.approx(0.01, abs=0.011)
    assert reception.report_loss() == 0.0


@given(st.integers(0, 2**32 - 1), st.floats(0, 1e6))
def test_an_even_pace_has_no_jitter_whatever_the_clocks(timestamp: int, arrival: float) -> None:
    reception = Reception()
    for number in range(100):
        reception.count(number, (timestamp + number * TICKS) % 2**32, arrival + number / 50)
    assert reception.jitter == pytest.approx(0.0, abs=0.01)


def test_jitter_comes_to_the_mean_difference() -> None:
    reception = Reception()
    for number in range(500):
        late = 0.005 if number % 2 else 0.0
        reception.count(number, number * TICKS, number / 50 + late)
    assert reception.jitter == pytest.approx(0.005 * CLOCK, rel=0.01)


def count_all(reception: Reception, numbers: list[int]) -> None:
    for number in numbers:
        reception.count(number % 2**16, number * TICKS % 2**32, number / 50)


@given(st.integers(0, 2**16 - 1), st.integers(MAX_DROPOUT, 2**16 - MAX_MISORDER - 100))
def test_a_stray_is_neither_a_loss_nor_a_packet(first: int, jump: int) -> None:
    reception = Reception()
    count_all(reception, [*range(first, first + 100), first + 99 + jump, *range(first + 100, first + 200)])
    assert (reception.expected, reception.lost) == (200, 0)
    assert reception.highest == first + 199


@given(
    st.integers(0, 2**16 - 1),
    st.integers(MAX_DROPOUT, 2**16 - MAX_MISORDER - 400),
    st.sets(st.integers(1, 298)),
    st.integers(0, 2**32 - 1),
)
def test_a_source_that_begins_anew_is_counted_on(first: int, jump: int, lost: set[int], timestamp: int) -> None:
    """Ahead or behind, and whatever its timestamps are: what was lost on both sides of it, and no more."""
    lost -= {149, 150, 151, 152}
    reception = Reception()
    for number in range(300):
        if number not in lost:
            anew = number >= 150
            sequence = first + number + (jump if anew else 0)
            reception.count(sequence % 2**16, (number * TICKS + timestamp * anew) % 2**32, number / 50)
    assert (reception.expected, reception.lost) == (300, len(lost))
    assert reception.highest % 2**16 == (first + 299 + jump) % 2**16
    assert reception.report_loss() == pytest.approx(len(lost) / 300)
    assert reception.jitter < 1


def test_a_long_outage_is_a_loss() -> None:
    reception = Reception()
    count_all(reception, [*range(50), *range(MAX_DROPOUT, MAX_DROPOUT + 50)])
    assert reception.lost == MAX_DROPOUT - 50


def test_a_key_is_counted_and_makes_no_jitter() -> None:
    reception = Reception()
    for number in range(200):
        key = 50 <= number < 58
        reception.count(number, None if key else number * TICKS, number / 50)
    assert (reception.expected, reception.lost) == (200, 0)
    assert reception.jitter < 0.01
