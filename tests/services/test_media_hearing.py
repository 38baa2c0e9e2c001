"""Reordering, concealment and decoding of the caller's packets; digits; reports; the codec."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.protocol.speech import EAR_FRAME, EAR_RATE, MOUTH_FRAME, MOUTH_RATE
from offhook.services.media.digits import Digits
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.hearing import MAX_CONCEALED, PATIENCE, Hearing
from offhook.services.media.hold import HoldMusic, hold_audio
from offhook.services.media.opus import OpusDecoder


def packets(count: int) -> list[bytes]:
    time = np.arange(count * MOUTH_FRAME // 2) / MOUTH_RATE
    pcm = (8000 * np.sin(2 * np.pi * 500 * time)).astype("<i2").tobytes()
    encoder = OpusEncoder(MOUTH_RATE)
    return [encoder.encode(pcm[i * MOUTH_FRAME : (i + 1) * MOUTH_FRAME]) for i in range(count)]


TWENTY = packets(20)


class Ear:
    """A hearing and what came out of it."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.hearing = Hearing(OpusDecoder(EAR_RATE), EAR_RATE, self.frames.append)

    def put(self, number: int, *, base: int = 65530) -> None:
        self.hearing.put((base + number) % 65536, (2**32 - 3000 + number * 960) % 2**32, TWENTY[number])


def test_in_order_each_packet_is_heard_at_once() -> None:
    ear = Ear()
    for number in range(20):
        ear.put(number)
        assert len(ear.frames) == number + 1
    assert all(len(frame) == EAR_FRAME for frame in ear.frames)
    assert ear.hearing.lost == ear.hearing.late == 0


def test_swapped_packets_are_heard_in_order() -> None:
    straight, swapped = Ear(), Ear()
    for number in range(10):
        straight.put(number)
    for number in (0, 2, 1, 4, 3, 5, 7, 6, 8, 9):
        swapped.put(number)
    assert swapped.frames == straight.frames
    assert swapped.hearing.lost == 0


def test_a_lost_packet_is_made_up_for() -> None:
    ear = Ear()
    for number in range(20):
        if number != 10:
            ear.put(number)
    assert len(ear.frames) == 20
    assert ear.hearing.lost == 1
    gap = np.frombuffer(ear.frames[10], "<i2").astype(float)
    assert np.sqrt(np.mean(gap**2)) > 1000


def test_a_long_loss_is_not_invented() -> None:
    ear = Ear()
    for number in (0, 1, 12, 13, 14, 15):
        ear.put(number)
    assert len(ear.frames) == 2 + MAX_CONCEALED + 4


def test_doubles_and_latecomers_are_dropped() -> None:
    ear = Ear()
    for number in (0, 1, 1, 0, 2, 2):
        ear.put(number)
    assert len(ear.frames) == 3
    assert ear.hearing.late == 3


def test_a_jump_is_a_new_beginning() -> None:
    ear = Ear()
    ear.put(0)
    ear.put(1, base=20000)
    ear.put(2, base=20000)
    assert len(ear.frames) == 3


def test_silence_that_was_not_sent_takes_its_time() -> None:
    ear = Ear()
    ear.hearing.put(1, 1000, TWENTY[0])
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
        assert len(ear.hearing._waiting) < PATIENCE
    assert all(len(frame) == EAR_FRAME for frame in ear.frames)


@given(st.permutations(range(20)))
def test_any_order_gives_whole_frames_and_no_more_than_sent(order: list[int]) -> None:
    ear = Ear()
    for number in order:
        ear.put(number)
    assert len(ear.frames) <= 20


def test_a_key_is_told_once() -> None:
    digits = Digits()
    assert [digits.put(800, bytes([5, end, 0, 160])) for end in (10, 10, 0x8A, 0x8A, 0x8A)] == ["5", *[None] * 4]
    assert digits.put(1600, bytes([5, 10, 0, 160])) == "5"
    assert digits.put(2400, bytes([11, 10, 0, 160])) == "#"
    assert digits.put(3200, bytes([16, 10, 0, 160])) is None
    assert digits.put(3200, b"\5") is None


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_the_codec_keeps_the_tone(rate: int) -> None:
    decoder = OpusDecoder(rate)
    pcm = np.frombuffer(b"".join(decoder.decode(packet) for packet in packets(50)), "<i2")
    assert abs(np.abs(np.fft.rfft(pcm)).argmax() * rate / len(pcm) - 500) < 3


@pytest.mark.parametrize("packet", [b"", b"\xff" * 30, b"\x03\xff\xff", bytes(1)])
def test_damaged_packets_are_concealed(packet: bytes) -> None:
    assert len(OpusDecoder(16_000).decode(packet)) in {640, 320, 160, 80}


def test_hold_audio_is_gentle_and_whole() -> None:
    samples = np.frombuffer(hold_audio(), "<i2")
    assert len(hold_audio()) % MOUTH_FRAME == 0
    assert 1000 < np.abs(samples).max() < 8000
    music = HoldMusic()
    frames = len(hold_audio()) // MOUTH_FRAME
    once = [music.take() for _ in range(frames)]
    assert b"".join(once) == hold_audio()
    assert music.take() == once[0]
