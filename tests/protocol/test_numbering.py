"""One stream for the receiver, whatever feeds it."""

from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.numbering import MAX_JUMP, Numbering
from offhook.protocol.rtp import TICKS, ahead

NUMBER = st.integers(0, 2**16 - 1)
TIME = st.integers(0, 2**32 - 1)
#: A source, or None for a packet of our own; how many packets the source goes on; how many frames our clock does.
STEP = st.tuples(st.sampled_from([None, 1, 2]), st.integers(1, 4), st.integers(0, 30))


@given(NUMBER, TIME, TIME, NUMBER, st.lists(STEP, max_size=60))
def test_changes_of_source_leave_no_gap_and_time_runs_forward(
    sequence: int, timestamp: int, strange: int, first: int, steps: list[tuple[int | None, int, int]]
) -> None:
    numbering = Numbering(sequence, timestamp)
    sources = {1: (first, strange), 2: ((first * 7) % 2**16, (strange * 5) % 2**32)}
    now, before, last, time = timestamp, None, sequence, timestamp
    for source, packets, frames in steps:
        now = (now + TICKS * frames) % 2**32
        if source is None:
            found = numbering.own(now)
        else:
            number, at = sources[source]
            sources[source] = number, at = (number + packets) % 2**16, (at + packets * TICKS) % 2**32
            relayed = numbering.relayed(source, number, at, now)
            assert relayed is not None
            found = relayed
        step = packets if source is not None and source == before else 1
        assert ahead(found[0], last) == step
        assert ahead(found[1], time, 32) >= TICKS
        if source is not None and source == before:
            assert ahead(found[1], time, 32) == packets * TICKS
        before, (last, time) = source, found


@given(NUMBER, st.permutations(range(20)))
def test_what_was_overtaken_keeps_its_place(first: int, order: list[int]) -> None:
    numbering = Numbering(100, 0)
    begin = numbering.relayed(1, first, 5000, 0)
    assert begin is not None
    for number in order:
        found = numbering.relayed(1, (first + 1 + number) % 2**16, 5000 + (1 + number) * TICKS, 0)
        assert found == ((begin[0] + 1 + number) % 2**16, begin[1] + (1 + number) * TICKS)


def test_a_straggler_from_before_its_turn_is_dropped() -> None:
    numbering = Numbering(100, 0)
    assert numbering.relayed(1, 500, 5000, 0) is not None
    assert numbering.relayed(1, 499, 4040, 0) is None
    numbering.own(960)
    assert numbering.relayed(1, 501, 5960, 960) is not None
    assert numbering.relayed(1, 500, 5000, 960) is None


@given(st.integers(MAX_JUMP + 1, 2**16 - MAX_JUMP - 1), st.integers(0, 2**32 - 1))
def test_a_jump_is_a_new_beginning(jump: int, timestamp: int) -> None:
    numbering = Numbering(100, 0)
    before = numbering.relayed(1, 500, 5000, 0)
    after = numbering.relayed(1, (500 + jump) % 2**16, timestamp, 960)
    assert before is not None and after is not None
    assert after[0] == before[0] + 1
    assert ahead(after[1], before[1], 32) == TICKS


def test_the_order_is_kept_over_a_whole_round_of_numbers() -> None:
    numbering = Numbering(0, 0)
    for number in range(2**16 + 1000):
        now = number * TICKS % 2**32
        found = numbering.relayed(9, number % 2**16, now, now)
        assert found is not None and found[0] == (number + 1) % 2**16


def test_time_of_reports_is_the_time_of_the_stream() -> None:
    numbering = Numbering(0, 1000)
    assert numbering.own(1000) == (1, 1000 + TICKS)
    assert numbering.time(1960) == 1960 + TICKS
