"""A caller's silence: what is one, and what only looks like one."""

from hypothesis import given
from hypothesis import strategies as st

from offhook.services.media.silence import LOOK_EVERY, LOST_AFTER, SUSPECT_AFTER, Sign, Silence


def test_silence_is_first_suspect_and_then_lost() -> None:
    silence = Silence(10.0)
    signs = {step: silence.look(10.0 + step * LOOK_EVERY, 9.0) for step in range(1, 11)}
    first_suspect = next(step for step, sign in signs.items() if sign is Sign.SUSPECT)
    first_lost = next(step for step, sign in signs.items() if sign is Sign.LOST)
    assert SUSPECT_AFTER <= first_suspect * LOOK_EVERY < SUSPECT_AFTER + 2 * LOOK_EVERY
    assert LOST_AFTER <= first_lost * LOOK_EVERY < 2.0
    assert silence.look(13.0, 12.9) is Sign.LIVES


@given(st.lists(st.floats(0.001, 1000.0), max_size=3))
def test_a_process_that_stood_still_suspects_nobody_for_it(stalls: list[float]) -> None:
    """However long a few looks were late: what was not read yet is no silence."""
    now = 0.0
    silence = Silence(now)
    silence.look(now := now + LOOK_EVERY, 0.1)
    for stall in stalls:
        now += stall
        assert silence.look(now, 0.1) is not Sign.LOST


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.booleans()), max_size=60))
def test_a_packet_always_clears_the_caller(looks: list[tuple[float, bool]]) -> None:
    now = heard = 0.0
    silence = Silence(now)
    for passed, packet in looks:
        now += passed
        heard = now if packet else heard
        sign = silence.look(now, heard)
        assert not packet or sign is Sign.LIVES
