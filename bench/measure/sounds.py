"""What the load client says, and what it makes of what comes back."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import soxr

from measure.caller import speak
from measure.load import FRAME, LoadCall
from offhook.protocol.rtp import read_packet
from offhook.protocol.speech import EAR_RATE
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.opus import OpusDecoder

RATE = 48_000
SAMPLES = RATE // 50
SENTENCE = "Hello, I would like to book a table for two people tomorrow evening at seven."
#: A burst of the delay probe and the time from one to the next, seconds.
BURST, PERIOD = 0.15, 0.52
#: Peak of a tone, and the level above which a sample is taken for a burst of it.
_LOUD, _SOUND = 12_000, 2_500
#: Silence is looked for in pieces of so many seconds; one is silent up to this level (RMS), 25 dB below the tone. What
#: is made up, or read from redundancy, is 10 to 18 dB softer than the tone. A silent frame shows as 15 ms.
_PIECE, _SILENT = 0.005, 480.0
_SAMPLES = int(_PIECE * RATE)


def encode(pcm: np.ndarray, loss: float = 0.0) -> list[bytes]:
    """Packets of 20 ms, as a browser would send them that was told of this loss."""
    encoder = OpusEncoder(RATE)
    encoder.expect_loss(loss)
    samples = pcm.astype("<i2")
    return [
        encoder.encode(samples[at : at + SAMPLES].tobytes()) for at in range(0, len(samples) - SAMPLES + 1, SAMPLES)
    ]


def speech() -> list[bytes]:
    """A sentence with a little room noise, to be said again and again."""
    voice = soxr.resample(np.frombuffer(speak(SENTENCE), "<i2"), EAR_RATE, RATE)
    return encode(0.6 * voice + np.random.default_rng(1).normal(0, 30, len(voice)))


def bursts(seconds: float) -> list[bytes]:
    """Short tones at even distances."""
    time = np.arange(int(seconds * 50) * SAMPLES) / RATE
    on = (time % PERIOD < BURST) & (time > PERIOD) & (time < seconds - 1.0)
    return encode(on * _LOUD * np.sin(2 * np.pi * 1000 * time))


def tone(seconds: float, loss: float) -> list[bytes]:
    """One long tone: each frame of it that is missing shows."""
    time = np.arange(int(seconds * 50) * SAMPLES) / RATE
    return encode(_LOUD * np.sin(2 * np.pi * 400 * time), loss)


def decoded(call: LoadCall) -> list[tuple[float, np.ndarray]]:
    """What a probe received: arrival and sound of each packet, in order of arrival."""
    decoder = OpusDecoder(RATE)
    found = []
    for arrival, data in zip(call.arrivals, call.packets, strict=True):
        packet = read_packet(call.inbound.unprotect(data))
        if packet is not None:
            found.append((arrival, np.frombuffer(decoder.decode(packet[5]), "<i2")))
    return found


def delays(call: LoadCall, frames: Sequence[bytes]) -> list[float]:
    """Seconds from sending the beginning of each burst to its beginning in what came back."""
    decoder = OpusDecoder(RATE)
    said = [np.frombuffer(decoder.decode(frame), "<i2") for frame in frames]
    departures = [(call.departures[index], sound) for index, sound in enumerate(said) if index < len(call.departures)]
    sent, heard = _onsets(departures), _onsets(decoded(call))
    found = []
    for begun in sent:
        after = [at - begun for at in heard if -FRAME < at - begun < PERIOD - FRAME]
        found += after[:1]
    return found


def _onsets(sound: Sequence[tuple[float, np.ndarray]]) -> list[float]:
    """When bursts begin: at the first loud sample after a fifth of a second without one, in time of the packets."""
    found, last = [], float("-inf")
    for moment, pcm in sound:
        loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _SOUND)
        if len(loud):
            at = moment + loud[0] / RATE
            if at - last > PERIOD - BURST - 0.17:
                found.append(at)
            last = moment + loud[-1] / RATE
    return found


def survived(call: LoadCall, begin: float, end: float) -> tuple[float, float]:
    """Of a tone between two moments: the part of its time that came back as sound, true or made up, and the longest
    stall, seconds.
    """
    found = [(arrival, sounding(pcm)) for arrival, pcm in decoded(call) if begin <= arrival < end]
    edges = [begin, *(arrival for arrival, time in found if time > FRAME / 2), end]
    stall = max(later - earlier for earlier, later in pairwise(edges))
    return sum(time for _, time in found) / (end - begin), max(0.0, stall - FRAME)


def sounding(pcm: np.ndarray) -> float:
    """The time in which there is sound in the samples, however soft, seconds."""
    pieces = pcm[: len(pcm) // _SAMPLES * _SAMPLES].reshape(-1, _SAMPLES).astype(float)
    return float(np.count_nonzero(np.sqrt(np.mean(np.square(pieces), axis=1)) > _SILENT)) * _PIECE
