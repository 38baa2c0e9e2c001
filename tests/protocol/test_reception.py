"""What a receiver reports: against a count that is made the slow way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.reception import Reception
from offhook.protocol.rtp import CLOCK, TICKS


@given(st.integers(0, 2**16 - 1), st.lists(st.integers(0, 199), min_size=1, max_size=300))
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
