"""Distributions: against counts that are made the slow way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.distribution import Distribution, Qualities
from offhook.protocol.quality import Quality


@given(
    st.lists(st.floats(-1, 10), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(-2, 12) | st.sampled_from([0.0, 1.0]), max_size=40),
)
def test_each_value_counts_for_the_lowest_bound_that_is_not_below_it(bounds: list[float], values: list[float]) -> None:
    distribution = Distribution(tuple(bounds))
    for value in values:
        distribution = distribution.note(value)
    up_to = [sum(value <= bound for value in values) for bound in [*bounds, float("inf")]]
    counts = distribution.counts or (0,) * len(up_to)
    assert [sum(counts[: place + 1]) for place in range(len(up_to))] == up_to
    assert distribution.total == pytest.approx(sum(values))


def test_what_is_not_known_is_not_noted() -> None:
    nothing = Qualities()
    assert nothing.note(None) == nothing.note(Quality()) == nothing
    known = nothing.note(Quality(received=1, jitter=0.003, delay=0.5))
    assert (sum(known.jitter.counts), known.delay.counts[-1], known.delay.total) == (1, 1, 0.5)
    assert known.round_trip == nothing.round_trip and known.opinion == nothing.opinion
    more = known.note(Quality(received=2, round_trip=0.03, mos=4.2))
    assert (more.round_trip.total, more.opinion.total, sum(more.jitter.counts)) == (0.03, 4.2, 2)
