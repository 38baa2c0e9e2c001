"""Calls over a bad network, heard at both ears (shows 2 of the media; the full table: ``just bench loss``).

Shares are asserted, times are not: machines are busy. What a time must be is measured by the benchmark.
"""

from collections.abc import Callable

import numpy as np
import pytest
from counted_audio import FRAME, NOTHING, PERIOD, UNREADABLE, counted, judge, read
from counting_call import Outcome, measure
from impairment import Impairment, Network

from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.opus import OpusDecoder

Tell = Callable[[Outcome], Outcome]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Tell:
    """Says where a call ran when it could not run in network namespaces."""

    def tell(outcome: Outcome) -> Outcome:
        if outcome.where != "namespaces":
            with capsys.disabled():
                print(f"\n{request.node.name} ran over {outcome.where}")
        return outcome

    return tell


def test_a_call_that_loses_one_packet_in_twenty(told: Tell) -> None:
    outcome = told(measure(Impairment(loss=0.05, seed=3), 4))
    for ear in (outcome.agent, outcome.caller):
        assert ear.frames > 100
        assert ear.filled > 0.97
        assert ear.true > 0.9


def test_a_call_on_a_network_that_does_everything_wrong_and_without_namespaces(told: Tell) -> None:
    bad = Impairment(loss=0.2, doubled=0.1, jitter=0.04, reorder=True, seed=4)
    outcome = told(measure(bad, 4, over_loopback="this way is to be tested, too"))
    for ear in (outcome.agent, outcome.caller):
        assert ear.filled > 0.9
        # A fifth is lost; redundancy, which costs the tones some of their clearness, gives some of it back.
        assert ear.true > 0.5


def test_a_call_goes_on_after_an_outage(told: Tell) -> None:
    outcome = told(measure(Impairment(outage_at=0.5, outage=5, seed=5), 7))
    for ear in (outcome.agent, outcome.caller):
        away = 5 / (ear.frames * FRAME)
        assert ear.stall > 4
        # A few frames more: the outage does not begin and end with one.
        assert 0.75 * (1 - away) < ear.true < 1 - away + 10 / ear.frames
        # Nothing is invented for five seconds.
        assert ear.filled < 1 - 0.8 * away


# ── the means of measuring ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_numbers_survive_opus(rate: int) -> None:
    encoder, decoder = OpusEncoder(rate), OpusDecoder(16_000)
    heard = [read(decoder.decode(encoder.encode(counted(number, rate))), 16_000) for number in range(200)]
    assert heard == [number % PERIOD for number in range(200)]


def test_what_is_made_up_has_no_number_of_its_own() -> None:
    encoder, decoder = OpusEncoder(16_000), OpusDecoder(16_000)
    for number in range(20):
        decoder.decode(encoder.encode(counted(number, 16_000)))
    # A wrong number is one that was heard before, or will be much later; hardly ever one of those that are missing.
    made_up = [read(decoder.conceal(320), 16_000) for _ in range(10)]
    assert sum(number in range(20, 32) for number in made_up) <= 1, made_up
    noise = np.random.default_rng(1).normal(0, 3000, 320).astype("<i2").tobytes()
    assert read(noise, 16_000) == UNREADABLE
    assert read(bytes(640), 16_000) == NOTHING


def test_the_judge_knows_true_from_made_up_and_missing() -> None:
    sent = [number * FRAME for number in range(300)]
    heard = [(at + 0.05, number % PERIOD) for number, at in enumerate(sent)]
    verdict = judge(sent, heard)
    assert verdict.true > 0.98 and verdict.filled > 0.98 and verdict.delay == pytest.approx(0.05)
    made_up = [(at, heard[place - 1][1] if place % 2 else number) for place, (at, number) in enumerate(heard)]
    assert 0.45 < judge(sent, made_up).true < 0.55 and judge(sent, made_up).filled > 0.98
    missing = [(at, NOTHING if place % 4 == 0 else number) for place, (at, number) in enumerate(heard)]
    assert 0.7 < judge(sent, missing).filled < 0.8
    assert judge(sent, heard[:100] + heard[150:]).stall == pytest.approx(1.0)


def test_the_bad_network_does_what_it_says() -> None:
    network = Network(Impairment(loss=0.3, doubled=0.2, jitter=0.05, outage_at=50, outage=10, seed=1), 0)
    network.put(b"before", -1.0)
    network.begin(0.0)
    came = list[tuple[float, bytes]]()
    for number in range(10_000):
        now = number * 0.01
        network.put(b"%d" % number, now)
        came += [(now, packet) for packet in network.due(now)]
    assert came[0][1] == b"before"
    arrived = {int(packet) for _, packet in came[1:]}
    assert 0.28 < 1 - len(arrived) / 9000 < 0.32
    assert len(came) - 1 == pytest.approx(1.2 * len(arrived), rel=0.05)
    assert not arrived & set(range(5000, 6000))
    numbers = [int(packet) for _, packet in came[1:]]
    assert numbers == sorted(numbers)
    assert max(now - int(packet) * 0.01 for now, packet in came[1:]) < 0.07
