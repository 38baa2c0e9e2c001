"""Reordering, concealment and decoding of the caller's packets; reports; the codec."""

from collections.abc import Callable

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.protocol.jitter.network import DISORDER
from offhook.protocol.jitter.prompt import FOLLOWED
from offhook.protocol.speech import EAR_FRAME, EAR_RATE, MOUTH_FRAME, MOUTH_RATE
from offhook.services.media.av_codec import AvDecoder
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.hearing import EvenHearing, Hearing, loudness
from offhook.services.media.hold import HoldMusic, hold_audio
from offhook.services.media.opus import OpusDecoder


def packets(count: int, level: int = 8000) -> list[bytes]:
    time = np.arange(count * MOUTH_FRAME // 2) / MOUTH_RATE
    pcm = (level * np.sin(2 * np.pi * 500 * time)).astype("<i2").tobytes()
    encoder = OpusEncoder(MOUTH_RATE)
    # As a browser encodes for a network that loses packets: with redundancy.
    encoder.expect_loss(0.1)
    return [encoder.encode(pcm[i * MOUTH_FRAME : (i + 1) * MOUTH_FRAME]) for i in range(count)]


TWENTY = packets(20)


class Later:
    """What a hearing wants to be called for, and when."""

    def __init__(self, at: float, ring: Callable[[], None]) -> None:
        self.at, self.ring = at, ring
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Ear:
    """A hearing and what came out of it, in a time that only moves when it is told to."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.now = 0.0
        self.timers: list[Later] = []
        self.hearing = Hearing(
            OpusDecoder(EAR_RATE), self.frames.append, clock=lambda: self.now, call_later=self._call_later
        )

    def _call_later(self, delay: float, ring: Callable[[], None]) -> Later:
        timer = Later(self.now + delay, ring)
        self.timers = [*(known for known in self.timers if not known.cancelled), timer]
        assert len(self.timers) == 1, "a hearing has one timer"
        return timer

    def wait(self, seconds: float) -> None:
        """Let time pass; timers ring when theirs has come, after what happens at the same moment."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.at < end - 1e-9]:
            self.now = due[0].at
            self.timers.remove(due[0])
            due[0].ring()
        self.now = end

    def put(self, number: int, *, base: int = 65530) -> None:
        self.wait(0.02)
        self.hearing.put((base + number) % 65536, (2**32 - 3000 + number * 960) % 2**32, TWENTY[number])


def test_in_order_each_packet_is_heard_at_once() -> None:
    ear = Ear()
    for number in range(20):
        ear.put(number)
        assert len(ear.frames) == number + 1
    assert all(len(frame) == EAR_FRAME for frame in ear.frames)
    assert ear.hearing.counts.lost == ear.hearing.counts.late == ear.hearing.delay == 0


def test_swapped_packets_are_heard_in_order() -> None:
    straight, swapped = Ear(), Ear()
    for number in range(10):
        straight.put(number)
    for number in (0, 2, 1, 4, 3, 5, 7, 6, 8, 9):
        swapped.put(number)
    assert swapped.frames == straight.frames
    assert swapped.hearing.counts.lost == 0


def test_a_lost_packet_is_made_up_for() -> None:
    ear = Ear()
    for number in range(20):
        if number != 10:
            ear.put(number)
    assert len(ear.frames) == 20
    assert ear.hearing.counts.lost == 1
    gap = np.frombuffer(ear.frames[10], "<i2").astype(float)
    assert np.sqrt(np.mean(gap**2)) > 1000


def test_a_long_loss_is_not_invented() -> None:
    ear = Ear()
    for number in (0, 1, 12, 13, 14, 15):
        ear.put(number)
    assert len(ear.frames) == 16
    loud = [loudness(frame) > -60 for frame in ear.frames]
    # 100 ms are made up, then there is silence; the frame before the next packet may be recovered from it.
    assert loud[:2] == [True] * 2 and loud[8:11] == [False] * 3 and loud[12:] == [True] * 4


def test_what_waits_for_a_lost_packet_is_heard_though_the_caller_keeps_quiet_then() -> None:
    ear = Ear()
    for number in (0, 1, 3):
        ear.put(number)
    assert len(ear.frames) == 2
    ear.wait(0.1)
    assert len(ear.frames) == 4
    assert ear.hearing.delay <= DISORDER + FOLLOWED + 1e-9
    # The next packet of a quiet caller comes in a while, and nothing is owed to it.
    ear.wait(0.3)
    ear.put(4)
    assert len(ear.frames) == 5


def test_what_still_waits_when_the_hearing_ends_is_not_heard() -> None:
    ear = Ear()
    for number in (0, 1, 3):
        ear.put(number)
    ear.hearing.close()
    ear.wait(1)
    assert len(ear.frames) == 2


@pytest.mark.parametrize("use_uvloop", [False, True])
def test_a_real_timer_rings(use_uvloop: bool) -> None:
    async def hear() -> None:
        frames, heard = list[bytes](), anyio.Event()

        def deliver(frame: bytes) -> None:
            frames.append(frame)
            if len(frames) == 4:
                heard.set()

        hearing = Hearing(OpusDecoder(EAR_RATE), deliver)
        for number in (0, 1, 3):
            hearing.put(number, number * 960, TWENTY[number])
        with anyio.fail_after(5):
            await heard.wait()

    anyio.run(hear, backend_options={"use_uvloop": use_uvloop})


def test_doubles_and_latecomers_are_dropped() -> None:
    ear = Ear()
    for number in (0, 1, 1, 0, 2, 2):
        ear.put(number)
    assert len(ear.frames) == 3
    assert ear.hearing.counts.late == 3


def test_a_jump_is_a_new_beginning() -> None:
    ear = Ear()
    ear.put(0)
    ear.put(1, base=20000)
    ear.put(2, base=20000)
    assert len(ear.frames) == 3


def test_silence_that_was_not_sent_takes_its_time() -> None:
    ear = Ear()
    ear.hearing.put(1, 1000, TWENTY[0])
    ear.wait(0.2)
    ear.hearing.put(2, 1000 + 10 * 960, TWENTY[1])
    assert len(ear.frames) == 11
    assert ear.frames[5] == bytes(EAR_FRAME)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535) | st.integers(0, 20), st.integers(0, 2**32 - 1), st.none() | st.binary(max_size=60)
        ),
        max_size=40,
    )
)
def test_no_packet_breaks_the_hearing(items: list[tuple[int, int, bytes | None]]) -> None:
    ear = Ear()
    for sequence, timestamp, payload in items:
        ear.hearing.put(sequence, timestamp, payload)
    assert all(len(frame) == EAR_FRAME for frame in ear.frames)


def test_a_person_hears_a_frame_each_20_ms_whatever_comes() -> None:
    hearing, frames = EvenHearing(OpusDecoder(EAR_RATE)), []
    for number in range(20):
        if number not in (8, 12, 13):
            hearing.put(number, number * 960, TWENTY[number], number * 0.02)
        frames.append(hearing.take(number * 0.02 + 0.001))
    assert {len(frame) for frame in frames} == {EAR_FRAME}
    # The first frame waits for a moment; a tone goes on over what is lost.
    assert [loudness(frame) > -50 for frame in frames] == [False] + [True] * 19
    assert hearing.counts.lost == 3
    assert hearing.delay < 0.05


def test_quiet_audio_that_comes_too_late_is_left_out() -> None:
    hush = packets(400, level=10)
    hearing = EvenHearing(OpusDecoder(EAR_RATE))
    # The network stands still for 200 ms once.
    arrivals = [max(number * 0.02, 0.4 if number >= 10 else 0.0) for number in range(400)]
    taken, delays = 0, []
    for tick in range(400):
        while taken < 400 and arrivals[taken] <= tick * 0.02:
            hearing.put(taken, taken * 960, hush[taken], arrivals[taken])
            taken += 1
        hearing.take(tick * 0.02 + 0.001)
        delays.append(hearing.delay)
    assert max(delays) > 0.1
    assert delays[-1] < 0.1
    assert hearing.counts.lost == hearing.counts.dropped == 0


@given(st.permutations(range(20)))
def test_any_order_gives_whole_frames_and_no_more_than_sent(order: list[int]) -> None:
    ear = Ear()
    for number in order:
        ear.put(number)
    assert len(ear.frames) <= 20


@pytest.mark.parametrize("rate", [16_000, 24_000])
@pytest.mark.parametrize("kind", [OpusDecoder, AvDecoder])
def test_the_codec_keeps_the_tone(rate: int, kind: type[OpusDecoder] | type[AvDecoder]) -> None:
    decoder = kind(rate)
    pcm = np.frombuffer(b"".join(decoder.decode(packet) for packet in packets(50)), "<i2")
    assert abs(np.abs(np.fft.rfft(pcm)).argmax() * rate / len(pcm) - 500) < 3


@pytest.mark.parametrize("packet", [b"", b"\xff" * 30, b"\x03\xff\xff", bytes(1)])
@pytest.mark.parametrize("kind", [OpusDecoder, AvDecoder])
def test_damaged_packets_are_concealed(packet: bytes, kind: type[OpusDecoder] | type[AvDecoder]) -> None:
    assert 80 <= len(kind(16_000).decode(packet)) <= 640


@pytest.mark.parametrize("kind", [OpusDecoder, AvDecoder])
def test_a_tone_goes_on_for_a_moment_and_fades(kind: type[OpusDecoder] | type[AvDecoder]) -> None:
    decoder = kind(16_000)
    for packet in TWENTY:
        decoder.decode(packet)
    levels = [loudness(decoder.conceal(320)) for _ in range(8)]
    assert levels[0] > -25
    assert levels[-1] < -40


@pytest.mark.parametrize("samples", [40, 320, 400, 960])
@pytest.mark.parametrize("kind", [OpusDecoder, AvDecoder])
def test_as_much_is_made_up_as_is_missing(kind: type[OpusDecoder] | type[AvDecoder], samples: int) -> None:
    decoder = kind(16_000)
    decoder.decode(TWENTY[0])
    assert len(decoder.conceal(samples)) == len(decoder.recover(TWENTY[2], samples)) == 2 * samples


def test_what_is_lost_is_recovered_from_the_packet_after_it() -> None:
    """Of a sentence of tones, each lost frame has its own tone again, which concealment cannot know."""
    frequencies = [300 + 70 * (number * 7 % 20) for number in range(40)]
    time = np.arange(EAR_FRAME // 2) / EAR_RATE
    encoder = OpusEncoder(EAR_RATE)
    encoder.expect_loss(0.3)
    # Each tone for three frames, so that the codec is in the middle of it.
    sent = [
        encoder.encode((6000 * np.sin(2 * np.pi * hertz * (time + 0.02 * place))).astype("<i2").tobytes())
        for place, hertz in enumerate(hertz for hertz in frequencies for _ in range(3))
    ]
    decoder, right = OpusDecoder(EAR_RATE), 0
    for place, packet in enumerate(sent):
        if place % 3 == 1:
            pcm = np.frombuffer(decoder.recover(sent[place + 1], EAR_FRAME // 2), "<i2")
            heard = int(np.abs(np.fft.rfft(pcm, 16_000)).argmax())
            right += abs(heard - frequencies[place // 3]) < 40
        else:
            decoder.decode(packet)
    assert right >= 30


def test_hold_audio_is_gentle_and_whole() -> None:
    samples = np.frombuffer(hold_audio(), "<i2")
    assert len(hold_audio()) % MOUTH_FRAME == 0
    assert 1000 < np.abs(samples).max() < 8000
    music = HoldMusic()
    frames = len(hold_audio()) // MOUTH_FRAME
    once = [music.take() for _ in range(frames)]
    assert music.take() == once[0]
    decoder = OpusDecoder(MOUTH_RATE)
    played = np.frombuffer(b"".join(map(decoder.decode, once)), "<i2")
    assert len(played) == len(samples)
    loudness_of = [np.sqrt(np.mean(part.astype(float) ** 2)) for part in (played, samples)]
    assert 0.9 < loudness_of[0] / loudness_of[1] < 1.1


def test_hold_audio_is_encoded_once_for_all_calls() -> None:
    one, other = HoldMusic(), HoldMusic()
    assert all(one.take() is other.take() for _ in range(100))
