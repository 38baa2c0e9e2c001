"""From RTP packets to frames of 20 ms: reordering, concealment, decoding.

No human listens at this end, so nothing has to be played at an even pace, and a packet that arrives in order is
decoded and passed on at once. Only behind a gap packets wait, until the missing one comes or ``PATIENCE`` later ones
are here: about 60 ms for a packet that is really lost, nothing for the others. (A fixed jitter buffer would delay
every packet by its whole depth.) What is missing then is recovered from the redundancy of the next packet, or
concealed.
"""

from collections.abc import Callable

from offhook.services.media.opus import OpusDecoder

#: Packets that may wait behind a gap.
PATIENCE = 3
#: Lost packets in a row that are concealed; beyond that the audio would be invented.
MAX_CONCEALED = 5
#: A sequence number this far from the expected one is a new beginning, not a loss.
MAX_JUMP = 500
#: Longest silence inserted where the sender kept quiet (DTX), seconds.
MAX_SILENCE = 1.0
#: RTP clock of Opus, Hz (RFC 7587 4.1).
CLOCK = 48_000


class Hearing:
    """The caller's packets, in; frames of 20 ms (s16le mono at ``rate`` Hz), out through ``deliver``."""

    def __init__(self, decoder: OpusDecoder, rate: int, deliver: Callable[[bytes], None]) -> None:
        self._decoder = decoder
        self._rate = rate
        self._frame = rate // 50 * 2
        self._deliver = deliver
        self._next: int | None = None
        self._waiting: dict[int, tuple[int, bytes | None]] = {}
        self._pcm = bytearray()
        #: RTP timestamp just behind the audio that was decoded last.
        self._end: int | None = None
        self.lost = 0
        self.late = 0

    def put(self, sequence: int, timestamp: int, payload: bytes | None) -> None:
        """One packet; None for the payload of one that holds no audio (a digit). Never raises, whatever it holds."""
        ahead = 0 if self._next is None else (sequence - self._next + 0x8000) % 0x10000 - 0x8000
        if self._next is None or abs(ahead) > MAX_JUMP:
            self._waiting.clear()
            self._next, self._end, ahead = sequence, None, 0
        if ahead < 0:
            self.late += 1
            return
        self._waiting[sequence] = (timestamp, payload)
        self._drain()
        if len(self._waiting) >= PATIENCE:
            self._skip_gap()
            self._drain()

    def _drain(self) -> None:
        while self._next is not None and (found := self._waiting.pop(self._next, None)) is not None:
            timestamp, payload = found
            self._next = (self._next + 1) % 0x10000
            if payload is None:
                continue
            self._fill_silence(timestamp)
            pcm = self._decoder.decode(payload)
            self._end = timestamp + len(pcm) // 2 * CLOCK // self._rate
            self._emit(pcm)

    def _skip_gap(self) -> None:
        assert self._next is not None
        start = self._next
        first = min(self._waiting, key=lambda sequence: (sequence - start) % 0x10000)
        missing = (first - start) % 0x10000
        self.lost += missing
        for _ in range(min(missing, MAX_CONCEALED) - 1):
            self._emit(self._decoder.conceal())
        following = self._waiting[first][1]
        self._emit(self._decoder.recover(following) if following else self._decoder.conceal())
        self._next, self._end = first, None

    def _fill_silence(self, timestamp: int) -> None:
        """A sender with DTX leaves timestamps out, not sequence numbers; time must pass for who listens, too."""
        quiet = 0 if self._end is None else (timestamp - self._end + 2**31) % 2**32 - 2**31
        if 0 < quiet <= MAX_SILENCE * CLOCK:
            self._emit(bytes(quiet * self._rate // CLOCK * 2))

    def _emit(self, pcm: bytes) -> None:
        self._pcm += pcm
        while len(self._pcm) >= self._frame:
            self._deliver(bytes(self._pcm[: self._frame]))
            del self._pcm[: self._frame]
