"""How the packets of one source arrive: what a receiver reports of them (RFC 3550 6.4.1, A.1, A.3, A.8)."""

from offhook.protocol.rtp import CLOCK, ahead

#: A sequence number this far ahead of the highest, or behind it, is a stray; if the next one follows it, the source has
#: begun anew (RFC 3550 A.1).
MAX_DROPOUT = 3000
MAX_MISORDER = 100


class Reception:
    """Counts of one source's packets. Reads no clock: arrivals are given, in seconds of any clock that runs evenly."""

    def __init__(self) -> None:
        self._first = 0
        self._received = 0
        #: Expected before the source began anew, and the number that would tell that it does.
        self._expected_before = 0
        self._bad: int | None = None
        #: Arrival and timestamp of the last packet in order.
        self._last: tuple[float, int] | None = None
        #: Expected and received when the last report was made.
        self._reported = (0, 0)
        #: Highest sequence number, with the number of times it wrapped in the upper bits.
        self.highest = 0
        #: Mean difference of the packets' distances here and at the source, RTP ticks.
        self.jitter = 0.0

    def count(self, sequence: int, timestamp: int | None, arrival: float) -> None:
        """A packet has arrived.

        None is the timestamp of one that tells nothing of jitter: the packets of a key all have that of its beginning
        (RFC 4733 2.2.1).
        """
        if self._received == 0:
            self._begin(sequence)
        elif not -MAX_MISORDER < ahead(sequence, self.highest % 2**16) < MAX_DROPOUT:
            if sequence != self._bad:
                self._bad = (sequence + 1) % 2**16
                return
            # What was taken for a stray was the first.
            self._begin(sequence - 1)
            self._received += 1
        self._received += 1
        step = ahead(sequence, self.highest % 2**16)
        if step > 0:
            self.highest += step
            if timestamp is not None:
                self._time(timestamp, arrival)

    def _begin(self, first: int) -> None:
        self._expected_before = self.expected
        self._first, self.highest, self._last = first, first - 1, None

    def _time(self, timestamp: int, arrival: float) -> None:
        if self._last is not None:
            apart = (arrival - self._last[0]) * CLOCK - ahead(timestamp, self._last[1], 32)
            self.jitter += (abs(apart) - self.jitter) / 16
        self._last = arrival, timestamp

    @property
    def expected(self) -> int:
        """Packets that should have arrived so far."""
        return self._expected_before + (self.highest - self._first + 1 if self._received else 0)

    @property
    def lost(self) -> int:
        """Packets that did not; negative when some came twice."""
        return self.expected - self._received

    def report_loss(self) -> float:
        """The part of the packets that was lost since this was asked before, 0 to 1."""
        expected, received = self.expected - self._reported[0], self._received - self._reported[1]
        self._reported = self.expected, self._received
        return max(0.0, (expected - received) / expected) if expected > 0 else 0.0
