"""The jitter buffer on every kind of network: what a machine and a person get to hear."""

import random
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.protocol.jitter import Conceal, Decision, Decode, Even, Prompt, Quiet, Recover, loudest_to_drop
from offhook.protocol.jitter.concealing import MAX_CONCEALED
from offhook.protocol.jitter.even import MOST_WAITING
from offhook.protocol.jitter.network import MOST
from offhook.protocol.jitter.prompt import FOLLOWED, MAX_FILLED, PATIENCE
from offhook.protocol.jitter.waiting import MAX_WAITING
from offhook.protocol.opus_packet import LONGEST_TICKS, redundant_ticks, ticks_of
from offhook.protocol.rtp import CLOCK, TICKS

FRAME = 0.02
#: TOC bytes of 20 ms: SILK wideband (may hold redundancy), and CELT (holds none).
SILK, CELT = 0x48, 0xF8
#: First byte of a SILK frame that holds redundancy (RFC 6716 4.2.3).
REDUNDANT = 0x40


class Sent(NamedTuple):
    """A packet as it arrives."""

    arrival: float
    sequence: int
    timestamp: int
    payload: bytes


def packet(number: int, toc: int = SILK) -> bytes:
    return bytes([toc, REDUNDANT]) + number.to_bytes(4, "big")


def number_of(payload: bytes) -> int:
    return int.from_bytes(payload[2:6], "big")


class Path(NamedTuple):
    """A network and a sender, drawn by chance but replayed from ``seed``."""

    seed: int
    frames: int = 250
    #: Share of packets lost, doubled; most seconds a packet is late; of an outage, its first frame and length.
    loss: float = 0.0
    doubled: float = 0.0
    jitter: float = 0.0
    outage: tuple[int, int] = (0, 0)
    #: The sender keeps quiet (DTX) in these frames: first and length.
    pause: tuple[int, int] = (0, 0)
    #: How fast the sender's clock is, parts per million.
    drift: float = 0.0
    sequence: int = 65_500
    timestamp: int = 2**32 - 50_000
    toc: int = SILK

    def packets(self) -> list[Sent]:
        """What arrives, in the order of arrival."""
        chance = random.Random(self.seed)
        arriving = []
        sequence = self.sequence
        for number in range(self.frames):
            if self.pause[0] <= number < sum(self.pause):
                continue
            away = self.outage[0] <= number < sum(self.outage)
            sent = number * FRAME / (1 + self.drift / 1e6)
            copies = 0 if away or chance.random() < self.loss else 1 + (chance.random() < self.doubled)
            arriving += [
                Sent(
                    100 + sent + chance.random() * self.jitter,
                    sequence % 2**16,
                    (self.timestamp + number * TICKS) % 2**32,
                    packet(number, self.toc),
                )
                for _ in range(copies)
            ]
            sequence += 1
        return sorted(arriving)


PATHS = st.builds(
    Path,
    seed=st.integers(0, 2**32),
    frames=st.just(250),
    loss=st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5]),
    doubled=st.sampled_from([0.0, 0.1]),
    jitter=st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.3]),
    outage=st.tuples(st.integers(0, 200), st.sampled_from([0, 0, 3, 40])),
    pause=st.tuples(st.integers(0, 200), st.sampled_from([0, 0, 20, 60])),
    drift=st.sampled_from([0.0, 300.0, -300.0]),
    sequence=st.integers(0, 65_535),
    timestamp=st.integers(0, 2**32 - 1),
    toc=st.sampled_from([SILK, CELT]),
)


class Played(NamedTuple):
    """A decision, when it was taken, and what had arrived by then."""

    at: float
    decision: Decision


def play_evenly(
    packets: list[Sent], *, loudness: float = 0.0, phase: float = 0.007, buffer: Even | None = None
) -> list[Played]:
    """Play to a person: 20 ms each 20 ms. Audio of ``loudness`` dBFS is dropped where the buffer says so."""
    buffer = Even() if buffer is None else buffer
    waiting, played = list(reversed(packets)), list[Played]()
    now, owed = packets[0].arrival + phase, 0
    end = packets[-1].arrival + 1.0
    while now < end:
        while waiting and waiting[-1].arrival <= now:
            sent = waiting.pop()
            buffer.put(sent.sequence, sent.timestamp, sent.payload, sent.arrival)
        owed += TICKS
        while owed > 0:
            decision = buffer.take(now)
            played.append(Played(now, decision))
            if isinstance(decision, Decode) and loudness <= loudest_to_drop(decision.spare):
                continue
            owed -= decision.ticks
        now += FRAME
    return played


def play_at_once(packets: list[Sent]) -> list[Played]:
    """Play to a machine."""
    buffer, played = Prompt(), list[Played]()
    for sent in packets:
        buffer.put(sent.sequence, sent.timestamp, sent.payload, sent.arrival)
        while (decision := buffer.take(sent.arrival)) is not None:
            played.append(Played(sent.arrival, decision))
        assert len(buffer) < PATIENCE
    return played


def decoded(played: list[Played]) -> list[int]:
    """Numbers of the packets that were decoded, in the order in which they were."""
    return [number_of(one.decision.payload) for one in played if isinstance(one.decision, Decode)]


def check_order(played: list[Played]) -> None:
    """No timestamp has two decisions, and none comes before an earlier one."""
    end = None
    for one in played:
        start = getattr(one.decision, "timestamp", None)
        if start is not None:
            assert end is None or start >= end, one
            end = start + one.decision.ticks


def check_invention(played: list[Played]) -> None:
    """No more is made up in a row than may be, and redundancy is only looked for where it may be."""
    made_up = 0
    for one in played:
        match one.decision:
            case Conceal(ticks=ticks):
                made_up += ticks
                assert made_up <= MAX_CONCEALED
            case Decode() | Quiet():
                made_up = 0
            case Recover(following=following):
                assert redundant_ticks(following)


# ── to a person ───────────────────────────────────────────────────────────────────────────────────────────────────


@given(PATHS)
def test_each_piece_of_time_is_decided_once_and_in_order(path: Path) -> None:
    packets = path.packets()
    if not packets:
        return
    played = play_evenly(packets)
    check_order(played)
    check_invention(played)
    heard = decoded(played)
    assert heard == sorted(set(heard))
    assert all(0 < one.decision.ticks <= LONGEST_TICKS for one in played)


@given(PATHS)
def test_whatever_comes_in_time_is_played(path: Path) -> None:
    """A packet that was not played came when later audio, or what was put in its place, had been decided."""
    packets = path.packets()
    if not packets:
        return
    buffer = Even()
    played = play_evenly(packets, buffer=buffer)
    heard = set(decoded(played))
    first: dict[int, float] = {}
    for sent in packets:
        first.setdefault(number_of(sent.payload), sent.arrival)
    missed = {number: at for number, at in first.items() if number not in heard}
    if buffer.counts.dropped:
        # More waited than may wait: only on a path on which so much can be late.
        assert path.jitter + FRAME > MOST_WAITING / 2
        return
    for number, at in missed.items():
        over = [
            one.at for one in played if isinstance(one.decision, Decode) and number_of(one.decision.payload) > number
        ]
        replaced = [one.at for one in played if isinstance(one.decision, Conceal | Recover)]
        assert any(moment <= at for moment in [*over, *replaced]), (number, at)


@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.floats(0.0, 0.0199),
    st.sampled_from([SILK, CELT]),
)
def test_without_jitter_every_packet_that_comes_is_played_and_no_other_time_is_made_up(
    seed: int, loss: float, phase: float, toc: int
) -> None:
    path = Path(seed, loss=loss, toc=toc)
    packets = path.packets()
    played = play_evenly(packets, phase=phase)
    assert decoded(played) == [number_of(sent.payload) for sent in packets]
    last = max(decoded(played))
    buffer_time = sum(one.decision.ticks for one in played if not isinstance(one.decision, Decode))
    missing = last + 1 - len(packets)
    # Before the first packet, for what is missing, for the delay that grows by one packet when many are; and the end.
    assert buffer_time <= (missing + 3) * TICKS + CLOCK + 2 * TICKS


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.005, 0.01, 0.02, 0.04, 0.08]), st.floats(0.0, 0.0199))
def test_the_delay_follows_the_network_and_comes_back(seed: int, jitter: float, phase: float) -> None:
    rough = Path(seed, frames=500, jitter=jitter).packets()
    buffer = Even()
    play_evenly(rough, phase=phase, buffer=buffer)
    # Loud audio is not dropped, so the delay is what the latest packets asked for, in whole frames.
    assert buffer.delay <= jitter + 0.06
    calm = Path(seed, frames=2500).packets()
    buffer = Even()
    both = rough + [
        Sent(s.arrival + 10, (s.sequence + 500) % 2**16, (s.timestamp + 500 * TICKS) % 2**32, s.payload) for s in calm
    ]
    play_evenly(both, loudness=-60, phase=phase, buffer=buffer)
    assert buffer.delay <= 0.045
    assert buffer.counts.late <= 0.06 * 500


@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.04]), st.floats(0.0, 0.0199))
def test_few_packets_of_a_jittery_network_come_too_late(seed: int, jitter: float, phase: float) -> None:
    buffer = Even()
    play_evenly(Path(seed, frames=1000, jitter=jitter).packets(), phase=phase, buffer=buffer)
    assert buffer.counts.late < 0.01 * 1000
    assert buffer.aim < jitter + 0.03


def longest_stall(played: list[Played]) -> float:
    """Longest time between two packets that were decoded, less the length of one; seconds."""
    at = [one.at for one in played if isinstance(one.decision, Decode)]
    return max((later - earlier for earlier, later in pairwise(at)), default=0.0) - FRAME


@given(
    st.integers(0, 2**32),
    st.integers(1, 200),
    st.sampled_from([1, 2, 5, 25, 100, 250]),
    st.sampled_from([0.0, 0.01, 0.04]),
)
def test_no_stall_is_longer_than_the_outage_that_made_it(seed: int, begin: int, length: int, jitter: float) -> None:
    buffer = Even()
    played = play_evenly(Path(seed, frames=600, outage=(begin, length), jitter=jitter).packets(), buffer=buffer)
    assert longest_stall(played) <= length * FRAME + jitter + 0.045
    assert buffer.delay <= jitter + 0.085
    assert buffer.counts.lost >= length


@given(st.integers(0, 2**32), st.integers(2, 200), st.sampled_from([5, 20, 100]), st.sampled_from([0.0, 0.03]))
def test_a_sender_that_pauses_is_not_a_loss(seed: int, begin: int, length: int, jitter: float) -> None:
    path = Path(seed, frames=500, pause=(begin, length), jitter=jitter)
    # A browser tells of its silence by a packet without sound.
    packets = [
        sent._replace(payload=sent.payload[:1] + b"\0") if number_of(sent.payload) == begin - 1 else sent
        for sent in path.packets()
    ]
    buffer = Even()
    play_evenly(packets, buffer=buffer)
    if jitter == 0:
        assert buffer.counts.lost == buffer.counts.late == 0
        # Nothing but the end, when packets are missed, is made up.
        assert buffer.counts.concealed == MAX_CONCEALED
    assert buffer.counts.quiet >= (length - 4) * TICKS
    assert buffer.delay <= jitter + 0.06


@given(st.sampled_from([-1000.0, -200.0, 200.0, 1000.0]), st.floats(0.0, 0.0199))
@settings(max_examples=10)
def test_a_clock_that_drifts_is_followed(drift: float, phase: float) -> None:
    """A minute and a half of a clock that is off by up to 1,000 ppm: 90 ms."""
    buffer = Even()
    packets = Path(1, frames=4500, drift=drift).packets()
    play_evenly(packets, loudness=-60, phase=phase, buffer=buffer)
    assert 0 <= buffer.delay <= 0.06
    assert buffer.counts.late == buffer.counts.lost == 0


def test_a_loss_is_made_up_for_though_there_is_time_to_spare() -> None:
    """Loud audio keeps a delay that was once needed; what is lost then is no way to get rid of it."""
    packets = [
        s._replace(arrival=max(s.arrival, 100.5) if 100.38 < s.arrival < 100.5 else s.arrival)
        for s in Path(1).packets()
        if number_of(s.payload) != 60
    ]
    played = play_evenly(packets)
    assert any(isinstance(one.decision, Decode) and one.decision.spare > FRAME for one in played)
    assert [one.decision for one in played if isinstance(one.decision, Recover)] == [
        Recover(Path(1).timestamp + 60 * TICKS, TICKS, packet(61))
    ]


def test_where_packets_are_lost_there_is_time_for_their_redundancy() -> None:
    played = play_evenly(Path(1, frames=1000, loss=0.05).packets())
    later = [one.decision for one in played if one.at > 104]
    recovered = sum(isinstance(one, Recover) for one in later)
    assert recovered > 4 * sum(isinstance(one, Conceal) for one in later) > 0
    # Without losses nobody waits for redundancy.
    buffer = Even()
    play_evenly(Path(1).packets(), buffer=buffer)
    assert buffer.aim <= 0.015


def test_after_a_pause_the_first_packet_waits_for_slower_ones() -> None:
    """Each second packet takes 40 ms longer; the first one after the pause is a fast one."""
    packets = sorted(
        s._replace(arrival=s.arrival + 0.04 * (number_of(s.payload) % 2))
        for s in Path(1, frames=400, pause=(200, 50)).packets()
    )
    after = [one.decision for one in play_evenly(packets) if one.at > 100 + 250 * FRAME]
    begin = next(place for place, one in enumerate(after) if isinstance(one, Decode))
    assert all(isinstance(one, Decode) for one in after[begin : begin + 140])


def test_a_network_that_stood_still_is_caught_up_with() -> None:
    """Three seconds of audio arrive at once: the old ones are dropped, and the delay is small again."""
    packets = [s._replace(arrival=max(s.arrival, 105.0) if s.arrival > 102 else s.arrival) for s in Path(1).packets()]
    buffer = Even()
    play_evenly(packets, buffer=buffer)
    assert buffer.counts.dropped > 100
    assert buffer.delay < MOST_WAITING


@pytest.mark.parametrize("jump", [-(2**31), -200_000, -48_000, -960, 48_000, 500_000, 2**31 - 1])
def test_a_timestamp_that_jumps_stalls_nobody(jump: int) -> None:
    before = Path(1, frames=100).packets()
    after = [
        s._replace(arrival=s.arrival + 2, sequence=(s.sequence + 100) % 2**16,
                   timestamp=(s.timestamp + 100 * TICKS + jump) % 2**32)
        for s in before
    ]  # fmt: skip
    for played in (play_evenly(before + after), play_at_once(before + after)):
        assert len(decoded(played)) == 200
        assert longest_stall(played) <= 0.22


@pytest.mark.parametrize("jump", [501, 20_000, -20_000])
def test_a_sequence_that_jumps_is_a_new_beginning(jump: int) -> None:
    before = Path(1, frames=50).packets()
    after = [s._replace(arrival=s.arrival + 1, sequence=(s.sequence + 50 + jump) % 2**16) for s in before]
    for played in (play_evenly(before + after), play_at_once(before + after)):
        assert len(decoded(played)) >= 98


# ── to a machine ──────────────────────────────────────────────────────────────────────────────────────────────────


@given(PATHS)
def test_a_machine_hears_each_piece_once_in_order_and_in_time(path: Path) -> None:
    packets = path.packets()
    if not packets:
        return
    played = play_at_once(packets)
    check_order(played)
    check_invention(played)
    heard = decoded(played)
    assert heard == sorted(set(heard))
    if path.jitter == 0 and path.outage[1] == path.pause[1] == 0:
        # Time that was lost is filled, piece by piece, until less than the patience is open.
        total = sum(one.decision.ticks for one in played)
        last = number_of(packets[-1].payload) - number_of(packets[0].payload) + 1
        assert (last - PATIENCE) * TICKS - sum(path.outage) * TICKS <= total <= last * TICKS


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.2]))
def test_on_a_network_that_keeps_its_order_a_machine_soon_hears_every_packet_at_once(seed: int, loss: float) -> None:
    """A gap that is waited for is a longer stall."""
    packets = Path(seed, loss=loss).packets()
    played = play_at_once(packets)
    heard = [(number_of(one.decision.payload), one.at) for one in played if isinstance(one.decision, Decode)]
    soon = packets[0].arrival + 3
    assert [one for one in heard if one[1] > soon] == [
        (number_of(sent.payload), sent.arrival) for sent in packets if sent.arrival > soon
    ]


def test_a_machine_waits_for_packets_as_long_as_they_are_out_of_order() -> None:
    buffer = Prompt()
    heard = []
    now = 0.0
    for group in range(100):
        # Each third packet is overtaken by the one after it, by 30 ms.
        for place, delay in ((0, 0.0), (2, 0.04), (1, 0.05)):
            number = group * 3 + place
            now = group * 3 * FRAME + delay
            buffer.put(number, number * TICKS, packet(number), now)
            while (decision := buffer.take(now)) is not None:
                heard.append(decision)
    assert sum(isinstance(one, Decode) for one in heard) >= 298
    # The network keeps its order from now on: soon nothing waits for what is lost.
    for number in range(300, 1500):
        now = number * FRAME
        buffer.put(number, number * TICKS, packet(number), now)
        while buffer.take(now) is not None:
            pass
    buffer.put(1501, 1501 * TICKS, packet(1501), 1501 * FRAME)
    assert buffer.take(1501 * FRAME) == Recover(1500 * TICKS, TICKS, packet(1501))


@given(PATHS, st.sets(st.integers(0, 249), max_size=20))
def test_nothing_waits_longer_than_the_bound_whatever_comes_after(path: Path, keys: set[int]) -> None:
    """Who asks again when it is due hears each packet within it, though the caller keeps quiet or is away."""
    buffer, came, waited = Prompt(), dict[int, float](), list[float]()

    def take(now: float) -> None:
        while (decision := buffer.take(now)) is not None:
            if isinstance(decision, Decode):
                waited.append(now - came[number_of(decision.payload)])
        assert buffer.due is None or now < buffer.due <= now + MOST + FOLLOWED

    for sent in path.packets():
        while buffer.due is not None and buffer.due <= sent.arrival:
            take(buffer.due)
        number = number_of(sent.payload)
        came.setdefault(number, sent.arrival)
        buffer.put(sent.sequence, sent.timestamp, None if number in keys else sent.payload, sent.arrival)
        take(sent.arrival)
    while buffer.due is not None:
        take(buffer.due)
    assert len(buffer) == 0
    assert max(waited, default=0.0) <= MOST + FOLLOWED + 1e-9


def test_a_long_loss_is_made_up_for_a_moment_and_then_quiet() -> None:
    packets = Path(1, frames=60, outage=(10, 20)).packets()
    between = [one.decision for one in play_at_once(packets) if not isinstance(one.decision, Decode)]
    assert sum(one.ticks for one in between) == 20 * TICKS
    assert sum(one.ticks for one in between if isinstance(one, Conceal)) == MAX_CONCEALED
    assert isinstance(between[-1], Recover)


def test_a_digit_is_no_loss() -> None:
    for buffer in (Prompt(), Even()):
        now, decisions = 0.0, list[Decision]()
        for number in range(60):
            key = 20 <= number < 30
            buffer.put(number, (20 if key else number) * TICKS, None if key else packet(number), now)
            while (decision := buffer.take(now)) is not None:
                decisions.append(decision)
                if isinstance(buffer, Even):
                    break
            now += FRAME
        assert buffer.counts.lost == 0
        assert sum(isinstance(one, Decode) for one in decisions) >= 48
        assert sum(one.ticks for one in decisions if isinstance(one, Quiet)) >= 10 * TICKS


# ── whatever comes ────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.lists(
        st.tuples(
            st.integers(0, 65_535) | st.integers(0, 30),
            st.integers(0, 2**32 - 1) | st.integers(0, 30 * TICKS),
            st.none() | st.binary(max_size=8),
            st.floats(0, 0.1),
        ),
        max_size=120,
    )
)
@settings(max_examples=200)
def test_nothing_breaks_it_and_it_stays_small(items: list[tuple[int, int, bytes | None, float]]) -> None:
    for buffer in (Prompt(), Even()):
        now = 0.0
        for sequence, timestamp, payload, later in items:
            now += later
            buffer.put(sequence, timestamp, payload, now)
            assert len(buffer) <= MAX_WAITING
            taken = 0
            while (decision := buffer.take(now)) is not None and taken < 60:
                assert 0 < decision.ticks <= MAX_FILLED
                taken += 1
            assert taken == 60 or isinstance(buffer, Prompt)


@given(PATHS, st.integers(0, 65_535), st.integers(0, 2**32 - 1))
def test_where_numbers_begin_makes_no_difference(path: Path, sequence: int, timestamp: int) -> None:
    def kinds(path: Path) -> list[tuple[float, str]]:
        packets = path.packets()
        return [(one.at, type(one.decision).__name__) for one in play_evenly(packets)] if packets else []

    here, there = kinds(path), kinds(path._replace(sequence=sequence, timestamp=timestamp))
    assert here == there


def test_the_buffer_of_a_sender_that_only_sends_is_bounded() -> None:
    for buffer in (Prompt(), Even()):
        for number in range(3000):
            buffer.put(number, number * TICKS, packet(number), number * FRAME)
            assert len(buffer) <= MAX_WAITING


# ── what a packet tells ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("payload", "ticks"),
    [
        (b"\x48\x00", 960), (b"\x40\x00", 480), (b"\x58\x00", 2880), (b"\xf8\x00", 960), (b"\xe0\x00", 120),
        (b"\x49\x00", 1920), (b"\x4a\x00\x00", 1920), (b"\x4b\x03\x00", 2880), (b"\xfb\x06", 5760),
        (b"\xfb\x07", 960), (b"\xfb", 960), (b"\x4b\x00", 960), (b"", 960),
    ],
)  # fmt: skip
def test_the_length_of_a_packet_stands_in_its_first_bytes(payload: bytes, ticks: int) -> None:
    assert ticks_of(payload) == ticks
