"""From RTP packets to audio: the jitter buffer (``offhook.protocol.jitter``) joined to a decoder.

``Hearing`` is for who listens in a machine, ``EvenHearing`` for a person
(docs/decisions/0010-one-buffer-two-paces.md).
"""

import asyncio
import math
import time
from array import array
from collections.abc import Callable
from typing import Protocol

from offhook.protocol.jitter import Conceal, Counts, Decision, Decode, Even, Prompt, Quiet, Recover, loudest_to_drop
from offhook.protocol.rtp import CLOCK
from offhook.services.media.opus import Decoder

_FULL_SCALE = 32_768.0


class Timer(Protocol):
    """What rings later, unless it is cancelled first."""

    def cancel(self) -> None:
        """Do not ring."""


def call_later(delay: float, ring: Callable[[], None]) -> Timer:
    """Have the running loop call ``ring`` in ``delay`` seconds."""
    return asyncio.get_running_loop().call_later(delay, ring)


class Hearing:
    """The caller's packets, in; 20 ms frames (s16le mono at the decoder's rate), out through ``deliver``, at once.

    Behind a gap packets wait a moment, and need not be followed by others: one timer sees to those. ``close`` ends it.
    """

    def __init__(
        self,
        decoder: Decoder,
        deliver: Callable[[bytes], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], None]], Timer] = call_later,
    ) -> None:
        """``clock`` gives seconds, ``call_later`` sets a timer by the same clock."""
        self._decoder = decoder
        self._clock = clock
        self._call_later = call_later
        self._timer: Timer | None = None
        self._frame = decoder.rate // 50 * 2
        self._deliver = deliver
        self._buffer = Prompt()
        self._pcm = bytearray()

    @property
    def counts(self) -> Counts:
        """What became of the packets."""
        return self._buffer.counts

    @property
    def delay(self) -> float:
        """How long the packet that was heard last had waited, seconds."""
        return self._buffer.delay

    def put(self, sequence: int, timestamp: int, payload: bytes | None) -> None:
        """One packet; None for the payload of one that holds no audio (a digit). Never raises, whatever it holds."""
        now = self._clock()
        self._buffer.put(sequence, timestamp, payload, now)
        self._play(now)

    def close(self) -> None:
        """Hear nothing more, of what waits neither."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _play(self, now: float) -> None:
        while (decision := self._buffer.take(now)) is not None:
            pcm = perform(decision, self._decoder)
            if len(pcm) == self._frame and not self._pcm:
                self._deliver(pcm)
                continue
            self._pcm += pcm
            while len(self._pcm) >= self._frame:
                self._deliver(bytes(self._pcm[: self._frame]))
                del self._pcm[: self._frame]
        due = self._buffer.due
        if due is None:
            self.close()
        elif self._timer is None:
            # One that is set rings soon enough, and sets the next.
            self._timer = self._call_later(due - now, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._play(self._clock())


class EvenHearing:
    """The caller's packets, in; a frame of 20 ms (s16le mono at the decoder's rate) whenever one is asked for, out."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._frame = decoder.rate // 50 * 2
        self._buffer = Even()
        self._pcm = bytearray()

    @property
    def counts(self) -> Counts:
        """What became of the packets."""
        return self._buffer.counts

    @property
    def delay(self) -> float:
        """How far behind the fastest packet the last one was heard, seconds."""
        return self._buffer.delay

    def put(self, sequence: int, timestamp: int, payload: bytes | None, now: float) -> None:
        """One packet; None for the payload of one that holds no audio (a digit). Never raises, whatever it holds."""
        self._buffer.put(sequence, timestamp, payload, now)

    def take(self, now: float) -> bytes:
        """The next 20 ms; to be called each 20 ms."""
        while len(self._pcm) < self._frame:
            decision = self._buffer.take(now)
            pcm = perform(decision, self._decoder)
            # Quiet audio that comes too late is left out, to come nearer to the caller.
            if isinstance(decision, Decode) and decision.spare > 0 and loudness(pcm) <= loudest_to_drop(decision.spare):
                continue
            self._pcm += pcm
        frame = bytes(self._pcm[: self._frame])
        del self._pcm[: self._frame]
        return frame


def perform(decision: Decision, decoder: Decoder) -> bytes:
    """The audio of a decision. What a damaged packet lacks or has too much is made up, so that time goes on evenly."""
    match decision:
        case Decode(payload=payload):
            return decoder.decode(payload)
        case Recover(following=following, ticks=ticks):
            return decoder.recover(following, ticks * decoder.rate // CLOCK)
        case Conceal(ticks=ticks):
            return decoder.conceal(ticks * decoder.rate // CLOCK)
        case Quiet(ticks=ticks):
            return bytes(2 * (ticks * decoder.rate // CLOCK))


def loudness(pcm: bytes) -> float:
    """Level of s16le audio, dBFS (RMS); -inf for silence."""
    samples = array("h", pcm)
    power = sum(sample * sample for sample in samples) / max(1, len(samples))
    return 10 * math.log10(power / _FULL_SCALE**2) if power else -math.inf
