"""Where speech begins and ends: a voice detector on pocketsphinx's ``Vad`` and a level above the noise.

The classifier (WebRTC's) alone calls steady noise speech now and then, the level alone calls a slammed door speech.
A frame counts as voiced when both agree; the caller speaks once most of a short window is voiced and has finished once
a longer one is nearly free of it.
"""

from collections import deque

import numpy
import pocketsphinx

from offhook.protocol.speech import EAR_FRAME, EAR_RATE

#: Voiced frames (20 ms) out of ``ONSET_WINDOW`` that begin speech: 120 ms of voice.
ONSET, ONSET_WINDOW = 6, 8
#: Speech has ended when at most ``STRAY`` of the last ``HANGOVER`` frames are voiced: 400 ms, longer than the pauses
#: people make within a sentence.
STRAY, HANGOVER = 1, 20
#: Frames of audio before the decision that ``lead`` gives: 400 ms, as a soft first syllable may count as voiced late.
LEAD = 20
#: A voiced frame is so much louder than the noise, dB, and never below the floor, dBFS.
ABOVE_NOISE, FLOOR = 5.0, -52.0
#: How fast the noise level follows: down at once, up by dB per frame (5 dB a second; automatic gain is slower).
NOISE_RISE = 0.1


class EndpointDetector:
    """Tells speech from silence in one call's audio."""

    def __init__(self) -> None:
        self._vad = pocketsphinx.Vad(pocketsphinx.Vad.MEDIUM_LOOSE, EAR_RATE, 0.02)
        self._voiced: deque[bool] = deque([False] * HANGOVER, HANGOVER)
        self._recent: deque[bytes] = deque(maxlen=LEAD)
        self._lead = b""
        self._noise = -40.0
        self._speaking = False

    def feed(self, frame: bytes) -> bool:
        """One frame of 20 ms (``EAR_FRAME`` bytes, else ``ValueError``); True while the caller speaks."""
        if len(frame) != EAR_FRAME:
            raise ValueError(f"a frame has {EAR_FRAME} bytes, not {len(frame)}")
        self._recent.append(frame)
        self._voiced.append(self._is_voiced(frame))
        if self._speaking:
            self._speaking = sum(self._voiced) > STRAY
        elif sum(list(self._voiced)[-ONSET_WINDOW:]) >= ONSET:
            self._speaking = True
            self._lead = b"".join(self._recent)
        return self._speaking

    def lead(self) -> bytes:
        """The 400 ms up to and with the frame on which the detector last turned True."""
        return self._lead

    def _is_voiced(self, frame: bytes) -> bool:
        samples = numpy.frombuffer(frame, "<i2").astype(numpy.float32)
        # Variance, not power: a constant offset is no sound.
        level = 10.0 * float(numpy.log10(samples.var() / 32768.0**2 + 1e-10))
        self._noise = min(level, self._noise + NOISE_RISE)
        loud = level > max(self._noise + ABOVE_NOISE, FLOOR)
        return loud and bool(self._vad.is_speech(frame))
