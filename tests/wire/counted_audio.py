"""Audio that counts: each frame of 20 ms carries its number in two tones, so that an ear can tell what it hears.

A number is sent as its remainders modulo 12 (the low tone) and 11 (the high one): 132 numbers, 2.64 s, in a row differ.
The tones survive Opus; a frame that was made up repeats the tones before it or has none of its own.
"""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np

LOW = [360 + 120 * place for place in range(12)]
HIGH = [2000 + 150 * place for place in range(11)]
PERIOD = len(LOW) * len(HIGH)
FRAME = 0.02
#: Encoder and decoder look ahead: the beginning of a decoded frame still belongs to the frame before, seconds.
LOOKAHEAD = 0.0065
#: Below this level (RMS, of 32,768) a frame is silent, and what cannot be read in one is noise.
SILENT = 200.0
#: What the ear makes of a frame that holds no number.
NOTHING, UNREADABLE = -1, -2

_BY_REST = {(number % 12, number % 11): number for number in range(PERIOD)}


def counted(number: int, rate: int) -> bytes:
    """Frame ``number``, s16le mono at ``rate`` Hz."""
    time = number * FRAME + np.arange(int(rate * FRAME)) / rate
    low, high = LOW[number % 12], HIGH[number % 11]
    sound = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
    return bytes((6000 * sound).astype("<i2").tobytes())


def read(pcm: bytes, rate: int) -> int:
    """The number in a frame, modulo ``PERIOD``; ``NOTHING`` in silence, ``UNREADABLE`` where there is none."""
    whole = np.frombuffer(pcm, "<i2").astype(float)
    if np.sqrt(np.mean(whole**2)) < SILENT:
        return NOTHING
    piece = whole[int(rate * LOOKAHEAD) :]
    time = np.arange(len(piece)) / rate
    window = np.hanning(len(piece))
    strengths = [np.abs(np.sum(piece * window * np.exp(-2j * np.pi * hertz * time))) for hertz in LOW + HIGH]
    low, high = np.array(strengths[:12]), np.array(strengths[12:])
    if max(np.median(low) * 3 - low.max(), np.median(high) * 3 - high.max()) > 0:
        return UNREADABLE
    return _BY_REST[int(low.argmax()), int(high.argmax())]


class Heard(msgspec.Struct, frozen=True):
    """What an ear made of what was sent to it. Shares are of the frames sent; times in seconds."""

    frames: int
    #: Frames that were heard as they were sent, and those that were heard or made up.
    true: float
    filled: float
    #: The longest time without a true frame, beyond the 20 ms there must be.
    stall: float
    #: From the frame's beginning to be sent to its being heard: median, and 95 of 100 are faster.
    delay: float
    late: float


def judge(sent: Sequence[float], heard: Sequence[tuple[float, int]], *, leave_out: int = 50) -> Heard:
    """Compare when each frame was sent with what was heard when; leaves out the first frames, and half as many last."""
    first, end = leave_out, len(sent) - leave_out // 2
    last, before = first - 1, sent[first]
    filled, stall = 0, 0.0
    delays = list[float]()
    for at, number in heard:
        if not sent[first] <= at <= sent[end]:
            continue
        filled += number != NOTHING
        if number < 0:
            continue
        newest = bisect_right(sent, at) - 1
        meant = newest - (newest - number) % PERIOD
        # What was heard before is not heard now, whatever it sounds like.
        if meant > last:
            stall = max(stall, at - before - FRAME)
            last, before = meant, at
            delays.append(at - sent[meant])
    return Heard(
        frames=end - first,
        true=len(delays) / (end - first),
        filled=min(1.0, filled / (end - first)),
        stall=stall,
        delay=float(np.median(delays)) if delays else np.inf,
        late=float(np.percentile(delays, 95)) if delays else np.inf,
    )
