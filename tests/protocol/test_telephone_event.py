"""Keys as telephone-events, there and back over a bad network (covers A7, H3; RFC 4733)."""

import random
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.telephone_event import ENDINGS, KEYS, LONGEST, PRESSED, REST, Digits, Keypad

FRAME = 960
PACKETS = PRESSED + ENDINGS


def packets_of(keys: str, *, start: int = 0, rate: int = 48_000) -> list[tuple[int, bytes]]:
    """Timestamp and payload of each packet of some keys."""
    keypad, packets, began = Keypad(rate), list[tuple[int, bytes]](), start
    keypad.press(keys)
    for frame in range(len(keys) * (PACKETS + REST) + 10):
        sent = keypad.frame()
        if sent is not None:
            began = (start + frame * FRAME) % 2**32 if sent[0] else began
            packets.append((began, sent[1]))
    return packets


def heard(packets: list[tuple[int, bytes]]) -> str:
    digits = Digits()
    return "".join(filter(None, (digits.put(timestamp, payload) for timestamp, payload in packets)))


KEYED = st.text(KEYS, max_size=12)


@given(KEYED, st.integers(0, 2**32 - 1), st.sampled_from([8_000, 48_000]))
def test_keys_arrive_as_they_were_pressed(keys: str, start: int, rate: int) -> None:
    packets = packets_of(keys, start=start, rate=rate)
    assert len(packets) == PACKETS * len(keys)
    assert heard(packets) == keys


@given(KEYED, st.data())
def test_keys_arrive_once_each_though_packets_are_lost_doubled_or_late(keys: str, data: st.DataObject) -> None:
    """Whatever happens to the packets of a key, one that arrives is enough, and the order is that of the first."""
    packets = packets_of(keys)
    arrivals = list[tuple[float, tuple[int, bytes]]]()
    for number in range(len(keys)):
        mine = list(enumerate(packets))[number * PACKETS : (number + 1) * PACKETS]
        kept = data.draw(st.lists(st.sampled_from(mine), min_size=1, max_size=2 * PACKETS))
        # Up to 60 ms late: the network overtakes itself, but not by a whole key and its rest.
        arrivals += [(at + number * REST + data.draw(st.floats(0, REST)), packet) for at, packet in kept]
    assert heard([packet for _, packet in sorted(arrivals, key=lambda arrival: arrival[0])]) == keys


def test_the_packets_of_a_key_are_those_of_the_rfc() -> None:
    packets = packets_of("7", start=480)
    assert {timestamp for timestamp, _ in packets} == {480}
    assert [payload[1] >> 7 for _, payload in packets] == [0] * PRESSED + [1] * ENDINGS
    durations = [int.from_bytes(payload[2:], "big") for _, payload in packets]
    assert durations == [960, 1920, 2880, 3840, 4800, 4800, 4800, 4800]
    assert all(payload[0] == 7 and len(payload) == 4 for _, payload in packets)


def test_between_two_keys_there_is_sound() -> None:
    keypad = Keypad(48_000)
    keypad.press("12")
    silent = [keypad.frame() is None for _ in range(2 * (PACKETS + REST) + 1)]
    assert silent == ([False] * PACKETS + [True] * REST) * 2 + [True]


def test_a_key_that_is_held_for_long_is_one_key() -> None:
    """RFC 4733 2.5.1.3: past 65,535 ticks the event goes on with another timestamp."""
    held = [(0, pack("!BBH", 5, 10, duration)) for duration in (960, 33_600, LONGEST)]
    more = [(LONGEST, pack("!BBH", 5, flags, duration)) for flags, duration in ((10, 960), (138, 1920), (138, 1920))]
    assert heard(held + more) == "5"
    again = [(LONGEST + 96_000, pack("!BBH", 5, 10, 960))]
    assert heard(held + more + again) == "55"


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=6)), max_size=30))
def test_whatever_comes_is_a_key_or_nothing(packets: list[tuple[int, bytes]]) -> None:
    assert set(heard(packets)) <= set(KEYS)


def test_many_keys_in_any_order_do_not_come_twice() -> None:
    packets = packets_of("1234")
    chance = random.Random(1)
    shuffled = sorted(packets * 3, key=lambda _: chance.random())
    assert sorted(heard(shuffled)) == list("1234")


def test_what_no_telephone_has_is_refused_whole() -> None:
    keypad = Keypad(8_000)
    with pytest.raises(ValueError, match="'x' is no key"):
        keypad.press("12x")
    with pytest.raises(ValueError, match="at most 64"):
        keypad.press("1" * 65)
    assert keypad.frame() is None
