"""What a call sends: an unbroken stream of packets, and nothing encoded that is silent."""

import asyncio
import time
from itertools import pairwise

import numpy as np
import pytest

from offhook.protocol.rtp import TICKS, RtpPacket, ahead, read_packet
from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE
from offhook.protocol.telephone_event import Keypad
from offhook.services.media.opus import OpusDecoder
from offhook.services.media.speaking import HANGOVER, MAX_QUIET, SILENT_PACKET, Speaking
from offhook.services.media.ticker import FILL, MAX_BEHIND, SLOTS, Ticker

TONE = (8000 * np.sin(np.arange(MOUTH_FRAME // 2) * 2 * np.pi * 500 / MOUTH_RATE)).astype("<i2").tobytes()


class Mouth:
    """A speaking, what it is to say, and the packets that it sent."""

    def __init__(self) -> None:
        self.say: list[bytes] = []
        self.sent: list[RtpPacket] = []
        self.keypad = Keypad(48_000)
        self.speaking = Speaking(
            111, 42, lambda: self.say.pop(0) if self.say else None, self._send, keys=(101, self.keypad.frame)
        )
        self.frame = 0

    def tick(self, frames: int = 1) -> None:
        for _ in range(frames):
            self.speaking.tick(self.frame)
            self.frame += 1

    def relay(self, number: int) -> None:
        self.speaking.relay(7, False, number, number * TICKS, bytes([number]))

    @property
    def payloads(self) -> list[bytes]:
        return [packet[5] for packet in self.sent]

    def _send(self, data: bytes) -> None:
        packet = read_packet(data)
        assert packet is not None
        self.sent.append(packet)


def distances(packets: list[RtpPacket]) -> list[tuple[int, int]]:
    return [(ahead(b[2], a[2]), ahead(b[3], a[3], 32)) for a, b in pairwise(packets)]


def test_ready_packets_go_out_as_they_are_and_speech_goes_on_after_them() -> None:
    mouth = Mouth()
    music = iter([b"\x01", b"\x02", b"\x03"])
    mouth.tick(2)
    mouth.speaking.play(lambda: next(music))
    mouth.say = [TONE] * 2
    mouth.tick(3)
    assert mouth.payloads[2:] == [b"\x01", b"\x02", b"\x03"]
    assert mouth.speaking._encoder is None, "something was encoded"
    mouth.speaking.play(None)
    mouth.tick(2)
    assert not mouth.say and len(mouth.sent) == 7
    assert distances(mouth.sent) == [(1, TICKS)] * 6


def test_each_frame_has_a_packet_and_the_first_is_marked() -> None:
    mouth = Mouth()
    mouth.say = [TONE] * 3
    mouth.tick(6)
    assert [packet[:2] for packet in mouth.sent] == [(111, True), *[(111, False)] * 5]
    assert {packet[4] for packet in mouth.sent} == {42}
    assert distances(mouth.sent) == [(1, TICKS)] * 5
    assert mouth.speaking.packets == 6
    assert mouth.speaking.octets == sum(map(len, mouth.payloads))


def test_silence_is_not_encoded() -> None:
    mouth = Mouth()
    mouth.tick(3)
    assert mouth.payloads == [SILENT_PACKET] * 3
    assert mouth.speaking._encoder is None
    mouth.say = [TONE, *[bytes(MOUTH_FRAME)] * HANGOVER, bytes(MOUTH_FRAME), TONE]
    mouth.tick(8 + HANGOVER)
    silent = [payload == SILENT_PACKET for payload in mouth.payloads[3:]]
    assert silent == [False, *[False] * HANGOVER, True, False, *[False] * HANGOVER, *[True] * (5 - HANGOVER)]


def test_the_silent_packet_is_silence() -> None:
    assert OpusDecoder(48_000).decode(SILENT_PACKET) == bytes(2 * 960)


def test_packets_of_others_are_passed_on_as_they_are_and_at_once() -> None:
    mouth = Mouth()
    mouth.tick(2)
    for number in (10, 11, 13, 12, 15):
        mouth.relay(number)
        mouth.tick()
    assert mouth.payloads == [SILENT_PACKET] * 2 + [bytes([number]) for number in (10, 11, 13, 12, 15)]
    assert distances(mouth.sent) == [(1, TICKS)] * 3 + [(2, 2 * TICKS), (-1, -TICKS), (3, 3 * TICKS)]


def test_what_is_said_here_interrupts_and_silence_fills_in() -> None:
    mouth = Mouth()
    mouth.relay(10)
    mouth.tick(MAX_QUIET)
    assert len(mouth.sent) == 1
    mouth.tick(2)
    mouth.relay(11)
    mouth.say = [TONE]
    mouth.tick()
    mouth.relay(12)
    assert [payload == SILENT_PACKET for payload in mouth.payloads] == [False, True, True, False, False, False]
    assert all(sequence == 1 and timestamp >= TICKS for sequence, timestamp in distances(mouth.sent))


def test_time_that_was_left_out_is_missing_in_the_timestamps() -> None:
    mouth = Mouth()
    mouth.tick()
    mouth.frame += 30
    mouth.tick()
    assert distances(mouth.sent) == [(1, 31 * TICKS)]


def test_nobody_is_passed_on_while_ready_packets_are_sent() -> None:
    mouth = Mouth()
    mouth.relay(10)
    mouth.speaking.play(lambda: b"hold")
    for number in range(11, 21):
        mouth.tick()
        mouth.relay(number)
    assert mouth.payloads == [bytes([10]), *[b"hold"] * 10]
    mouth.speaking.play(None)
    mouth.relay(21)
    assert mouth.payloads[-1] == bytes([21])
    assert [one[0] for one in distances(mouth.sent)] == [1] * 11


def test_keys_take_the_place_of_what_is_passed_on_and_time_does_not_run_ahead() -> None:
    mouth = Mouth()
    number, keys = 0, 0
    for second in range(6):
        mouth.keypad.press("5")
        for _ in range(50):
            number += 1
            mouth.tick()
            mouth.speaking.relay(7, False, number, number * TICKS, b"voice")
        keys = sum(packet[0] == 101 for packet in mouth.sent)
        assert keys > 5 * (second + 1), "the key was not sent"
    voice = [payload for payload in mouth.payloads if payload == b"voice"]
    assert len(voice) == number - keys, "sound was sent beside a key"
    passed = ahead(mouth.sent[-1][3], mouth.sent[0][3], 32) - (number - 1) * TICKS
    assert 0 <= passed <= 2 * TICKS, f"the stream is {passed / TICKS} frames ahead"


@pytest.mark.parametrize("frame", [0, 1, 180_000])
def test_what_is_passed_on_before_the_first_frame_has_the_time_of_what_follows(frame: int) -> None:
    """The ticker has counted for as long as the process lives."""
    mouth = Mouth()
    mouth.relay(10)
    mouth.frame = frame
    mouth.tick(MAX_QUIET + 2)
    assert mouth.payloads[1] == SILENT_PACKET
    assert ahead(mouth.sent[1][3], mouth.sent[0][3], 32) <= (MAX_QUIET + 2) * TICKS


def test_a_report_tells_the_time_of_its_own_frame() -> None:
    """While packets are passed on the clock is looked at seldom."""
    mouth = Mouth()
    mouth.tick(1)
    first = mouth.speaking.timestamp(0)
    assert [ahead(mouth.speaking.timestamp(frame), first, 32) for frame in (1, 3, 50)] == [TICKS, 3 * TICKS, 50 * TICKS]


class Member:
    """Notes its frames; fails from the one on that it is told."""

    def __init__(self, fails_at: int | None = None, every: int = 1) -> None:
        self.frames: list[int] = []
        self._fails_at = fails_at
        self.failures = 0
        self._every = every

    def tick(self, frame: int) -> int:
        if self._fails_at is not None and frame >= self._fails_at:
            self.failures += 1
            raise LookupError
        self.frames.append(frame)
        return self._every

    async def wait(self, frames: int) -> None:
        async with asyncio.timeout(10):
            while len(self.frames) < frames:
                await asyncio.sleep(0.01)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return "asyncio", {"use_uvloop": request.param}


@pytest.mark.anyio
async def test_every_member_gets_every_frame() -> None:
    ticker = Ticker()
    members = [Member() for _ in range(2 * FILL + 1)]
    runs = [asyncio.create_task(ticker.run(member.tick)) for member in members]
    for member in members:
        await member.wait(8)
    for run in runs:
        run.cancel()
    await asyncio.wait(runs)
    counts = [len(member.frames) for member in members]
    await asyncio.sleep(0.05)
    assert [len(member.frames) for member in members] == counts
    assert not any(ticker._slots)
    for member in members:
        assert sorted(set(member.frames)) == member.frames


@pytest.mark.anyio
async def test_a_member_acts_as_often_as_it_wants() -> None:
    ticker = Ticker()
    often, seldom, late = Member(), Member(every=4), Member()
    runs = [
        asyncio.create_task(ticker.run(seldom.tick)),
        asyncio.create_task(ticker.run(often.tick)),
        asyncio.create_task(ticker.run(late.tick, wait=6)),
    ]
    await late.wait(3)
    await seldom.wait(4)
    for run in runs:
        run.cancel()
    await asyncio.wait(runs)
    assert all(b - a >= 4 for a, b in pairwise(seldom.frames))
    assert late.frames[0] >= 6
    assert len(often.frames) > 2 * len(seldom.frames)


@pytest.mark.anyio
async def test_members_that_act_seldom_do_not_wait_for_others() -> None:
    ticker = Ticker()
    seldom = Member(every=3)
    run = asyncio.create_task(ticker.run(seldom.tick))
    await seldom.wait(3)
    often = Member()
    other = asyncio.create_task(ticker.run(often.tick))
    await often.wait(5)
    assert len(often.frames) > len(seldom.frames[3:])
    for task in (run, other):
        task.cancel()
    await asyncio.wait([run, other])


@pytest.mark.anyio
async def test_a_failing_member_hears_of_it_and_the_others_go_on() -> None:
    ticker = Ticker()
    good, bad = Member(), Member(fails_at=3)
    run = asyncio.create_task(ticker.run(good.tick))
    with pytest.raises(LookupError):
        async with asyncio.timeout(10):
            await ticker.run(bad.tick)
    await good.wait(len(good.frames) + 5)
    # Also when many frames are due at once.
    assert bad.frames[-1] < 3 and bad.failures == 1
    run.cancel()
    await asyncio.wait([run])


@pytest.mark.anyio
async def test_a_long_delay_is_left_out_not_caught_up_with() -> None:
    ticker = Ticker()
    member = Member()
    run = asyncio.create_task(ticker.run(member.tick))
    await member.wait(3)
    time.sleep(0.5)  # the process stands still
    await member.wait(len(member.frames) + 12)
    skips = [b - a for a, b in pairwise(member.frames)]
    assert max(skips) >= 0.5 * 50 - MAX_BEHIND // SLOTS - 3
    run.cancel()
    await asyncio.wait([run])


def can_hold_redundancy(packet: bytes) -> bool:
    """Whether the speech coder made it (RFC 6716 3.1): only its packets repeat the one before."""
    return packet[0] >> 3 < 16


def test_redundancy_is_sent_while_the_caller_reports_loss() -> None:
    mouth = Mouth()
    mouth.say = [TONE] * 300

    def speak(reports: list[float]) -> list[bool]:
        found = []
        for loss in reports:
            mouth.speaking.expect_loss(loss)
            mouth.tick(10)
            found.append(can_hold_redundancy(mouth.payloads[-1]))
        return found

    assert speak([0.0, 0.0]) == [False, False]
    assert speak([0.1, 0.0, 0.0]) == [True, True, True]
    assert speak([0.0] * 12)[-1] is False
