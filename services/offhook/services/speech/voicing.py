"""How much of a sound is voiced: periodic, as vowels are and coughs, clicks and breath are not."""

import numpy

from offhook.protocol.speech import EAR_RATE

#: A window holds three periods of the lowest voice, and another one begins every 20 ms.
_WINDOW, _STEP = EAR_RATE * 40 // 1000, EAR_RATE * 20 // 1000
#: Periods of human voices, 64 to 400 Hz, in samples.
_SHORTEST, _LONGEST = EAR_RATE // 400, EAR_RATE // 64
#: Part of the energy that repeats after one period in voiced sound (of white noise: about 0.2).
_PERIODIC = 0.5
#: Quieter windows (root mean square) are silence, whatever hums in it.
_QUIET = 100.0


def voiced_seconds(pcm: bytes | bytearray) -> float:
    """Seconds of voiced sound in ``pcm`` (16 kHz), by the autocorrelation of each window."""
    samples = numpy.frombuffer(pcm, "<i2", count=len(pcm) // 2).astype(numpy.float32)
    if len(samples) < _WINDOW:
        return 0.0
    windows = numpy.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_STEP]
    windows = windows - windows.mean(axis=1, keepdims=True)
    energy = (windows**2).sum(axis=1)
    # Wiener-Khinchin; padded to twice the length, so that nothing wraps around.
    spectrum = numpy.fft.rfft(windows, 2 * _WINDOW, axis=1)
    repeats = numpy.fft.irfft(numpy.abs(spectrum) ** 2, axis=1)[:, _SHORTEST:_LONGEST].max(axis=1)
    voiced = (energy > _WINDOW * _QUIET**2) & (repeats > _PERIODIC * energy)
    return float(voiced.sum()) * _STEP / EAR_RATE
