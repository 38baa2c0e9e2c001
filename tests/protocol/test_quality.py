"""The estimate of what a listener thinks: known points of the E-model, and that worse is never better."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.jitter import Prompt
from offhook.protocol.quality import BEST_RATING, Quality, add, missing, opinion, rate, rating
from offhook.protocol.reception import Reception
from offhook.protocol.rtp import CLOCK, TICKS


@pytest.mark.parametrize(
    ("points", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0), (-5, 1.0), (101, 4.5)]
)
def test_the_opinion_of_a_rating_is_that_of_table_b_1(points: float, score: float) -> None:
    assert opinion(points) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(
    ("one_way", "loss", "points"),
    [
        (0.0, 0.0, 93.2),
        (0.1, 0.0, 93.2),
        # Delay alone (7-27, by hand): nothing to 100 ms, steep behind 150 ms.
        (0.2, 0.0, 90.1),
        (0.4, 0.0, 69.2),
        # Loss alone: 95 p / (p + 25.1), in percent.
        (0.0, 0.01, 93.2 - 3.64),
        (0.0, 0.05, 93.2 - 15.78),
        (0.0, 1.0, 93.2 - 75.94),
    ],
)
def test_the_rating_at_known_points(one_way: float, loss: float, points: float) -> None:
    assert rating(one_way, loss) == pytest.approx(points, abs=0.15)


@given(st.floats(0, 2), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_worse_is_never_better(one_way: float, loss: float, more_delay: float, more_loss: float) -> None:
    here = rating(one_way, loss)
    assert here <= BEST_RATING
    assert rating(one_way + more_delay, loss) <= here + 1e-9
    assert rating(one_way, loss + more_loss) <= here + 1e-9
    assert 1.0 <= opinion(here) <= 4.5


@given(st.floats(0, 98), st.floats(0, 2))
def test_a_higher_rating_is_never_a_worse_opinion(points: float, more: float) -> None:
    # Below 6.5 the formula itself falls a little; its value is held at 1 there.
    assert opinion(points + more) >= opinion(points) - 1e-9


def test_a_call_is_rated_by_what_was_made_up() -> None:
    assert rate(Quality()).mos is None
    good = rate(Quality(received=500, heard=10.0, round_trip=0.04))
    assert good.mos is not None and good.mos > 4.35
    recovered = rate(Quality(received=450, lost=50, heard=9.0, recovered=1.0))
    made_up = rate(Quality(received=450, lost=50, heard=9.0, concealed=1.0))
    passed_on = rate(Quality(received=450, lost=50))
    assert recovered.mos is not None and made_up.mos is not None
    assert recovered.mos > made_up.mos
    assert passed_on.mos == made_up.mos


def heard_by_a_machine(sent: list[int], *, lost: set[int], redundant: bool) -> Quality:
    """The quality of a call whose caller sends packets for these pieces of 20 ms, of which some are lost."""
    buffer, reception = Prompt(), Reception()
    payload = b"\x48\x40\x00\x00" if redundant else b"\x48\x00\x00\x00"
    for sequence, number in enumerate(sent):
        if number in lost:
            continue
        buffer.put(sequence % 2**16, number * TICKS, payload, number / 50)
        reception.count(sequence % 2**16, number * TICKS, number / 50)
        while buffer.take(number / 50) is not None:
            pass
    counts = buffer.counts
    return rate(
        Quality(
            received=reception.expected - reception.lost,
            lost=reception.lost,
            heard=counts.decoded / CLOCK,
            recovered=counts.recovered / CLOCK,
            concealed=counts.concealed / CLOCK,
        )
    )


@pytest.mark.parametrize(("outage", "worst", "best"), [(5.0, 1.0, 2.0), (1.0, 3.0, 3.6), (0.1, 4.2, 4.4)])
def test_an_outage_in_every_ten_seconds_is_not_taken_for_silence(outage: float, worst: float, best: float) -> None:
    away = {number for number in range(3000) if number % 500 >= 500 - outage * 50}
    quality = heard_by_a_machine(list(range(3001)), lost=away, redundant=True)
    assert quality.mos is not None and worst <= quality.mos <= best
    # The last 20 ms of each can be recovered.
    assert missing(quality) == pytest.approx((outage - 0.02) / 10, rel=0.02)


def test_a_caller_who_keeps_quiet_half_of_the_time_is_heard_as_well_as_one_who_does_not() -> None:
    talking = [number for number in range(3000) if number % 500 < 250]
    quality = heard_by_a_machine(talking, lost=set(), redundant=False)
    assert quality.mos == heard_by_a_machine(list(range(3000)), lost=set(), redundant=False).mos
    assert missing(quality) == 0


def test_single_losses_that_are_recovered_cost_nothing() -> None:
    lost = set(range(5, 3000, 10))
    recovered = heard_by_a_machine(list(range(3000)), lost=lost, redundant=True)
    made_up = heard_by_a_machine(list(range(3000)), lost=lost, redundant=False)
    assert missing(recovered) < 0.001 and missing(made_up) == pytest.approx(0.1, abs=0.001)


def test_two_connections_of_one_call_are_added() -> None:
    first, second = Quality(received=10, lost=1, jitter=0.5, sent=7), Quality(received=5, concealed=0.1, jitter=0.1)
    assert add(None, None) is None
    assert add(first, None) == add(None, first) == first
    assert add(first, second) == Quality(received=15, lost=1, concealed=0.1, jitter=0.1, sent=7)
    loud, soft, mute = (Quality(loudest=level) for level in (-20, -90, None))
    assert add(loud, soft) == add(soft, loud) == add(loud, mute) == add(mute, loud) == loud
    assert add(mute, mute) == mute
    assert Quality(received=9, lost=1).loss == 0.1
    assert not Quality(jitter=float("nan")).is_finite and not Quality(mos=float("inf")).is_finite
    assert first.is_finite
