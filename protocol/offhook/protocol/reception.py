"""How the packets of one source arrive: what a receiver reports of them (RFC 3550 6.4.1, A.3, A.8)."""

from offhook.protocol.rtp import CLOCK, ahead


class Reception:
    """Counts of one source's packets. Reads no clock: arrivals are given, in seconds of any clock that runs evenly."""

    def __init__(self) -> None:
        self._first = 0
        self._received = 0
        self._arrival = 0.0
        self._timestamp = 0
        #: Expected and received when the last report was made.
        self._reported = (0, 0)
        #: Highest sequence number, with the number of times it wrapped in the upper bits.
        self.highest = 0
        #: Mean difference of the packets' distances here and at the source, RTP ticks.
        self.jitter = 0.0

    def count(self, sequence: int, timestamp: int, arrival: float) -> None:
        """A packet has arrived."""
        self._received += 1
        if self._received == 1:
            self._first = self.highest = sequence
        else:
            step = ahead(sequence, self.highest % 2**16)
            if step <= 0:
                return
            self.highest += step
            apart = (arrival - self._arrival) * CLOCK - ahead(timestamp, self._timestamp, 32)
            self.jitter += (abs(apart) - self.jitter) / 16
        self._arrival, self._timestamp = arrival, timestamp

    @property
    def expected(self) -> int:
        """Packets that should have arrived so far."""
        return self.highest - self._first + 1 if self._received else 0

    @property
    def lost(self) -> int:
        """Packets that did not; negative when some came twice."""
        return self.expected - self._received

    def report_loss(self) -> float:
        """The part of the packets that was lost since this was asked before, 0 to 1."""
        expected, received = self.expected - self._reported[0], self._received - self._reported[1]
        self._reported = self.expected, self._received
        return max(0.0, (expected - received) / expected) if expected > 0 else 0.0
