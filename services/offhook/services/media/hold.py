"""Hold audio: a gentle melody, synthesised and encoded once."""

from functools import cache

import numpy as np

from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE
from offhook.services.media.codec import open_encoder

#: A pentatonic phrase that may go round for long: (MIDI note or None for a rest, beats).
_PHRASE = (
    (64, 1),
    (67, 1),
    (69, 2),
    (72, 1),
    (69, 1),
    (67, 2),
    (62, 1),
    (64, 1),
    (67, 2),
    (64, 1),
    (62, 1),
    (60, 2),
    (None, 8),
)
_BEAT = 0.42
#: Peak of a note, of full scale: well below speech.
_LEVEL = 0.09


@cache
def hold_audio() -> bytes:
    """The melody, s16le mono at ``MOUTH_RATE``, whole frames of 20 ms, made to be repeated."""
    beats = sum(length for _, length in _PHRASE)
    sound = np.zeros(int(beats * _BEAT * MOUTH_RATE) + MOUTH_RATE)
    start = 0.0
    for note, length in _PHRASE:
        if note is not None:
            # A note rings on into the next one, as on a vibraphone.
            time = np.arange(int((length * _BEAT + 0.9) * MOUTH_RATE)) / MOUTH_RATE
            frequency = 440.0 * 2 ** ((note - 69) / 12)
            envelope = np.minimum(time / 0.03, 1.0) * np.exp(-time / 0.55)
            tone = np.sin(2 * np.pi * frequency * time) + 0.2 * np.sin(4 * np.pi * frequency * time)
            first = int(start * MOUTH_RATE)
            piece = (envelope * tone)[: len(sound) - first]
            sound[first : first + len(piece)] += piece
        start += length * _BEAT
    whole = len(sound) // (MOUTH_FRAME // 2) * (MOUTH_FRAME // 2)
    return bytes((sound[:whole] * _LEVEL * 32767).astype("<i2").tobytes())


@cache
def hold_packets() -> tuple[bytes, ...]:
    """The melody as Opus packets of 20 ms, encoded once for all calls of the process (some 120 ms of CPU)."""
    audio, encoder = hold_audio(), open_encoder(MOUTH_RATE)
    return tuple(encoder.encode(audio[at : at + MOUTH_FRAME]) for at in range(0, len(audio), MOUTH_FRAME))


class HoldMusic:
    """The melody for one caller, from its beginning, for ever. Nothing is encoded for it."""

    def __init__(self) -> None:
        self._packets = hold_packets()
        self._next = 0

    def take(self) -> bytes:
        """The next packet of 20 ms."""
        packet = self._packets[self._next]
        self._next = (self._next + 1) % len(self._packets)
        return packet
