"""What the network does to the packets of one stream.

The transit of a packet is its arrival less its timestamp: only differences mean something, for the two clocks have
nothing in common. The fastest packet of the last seconds is the measure; how much later the others come is the
jitter. Senders' clocks drift and routes change, so the measure is forgotten after a while.
"""

from offhook.protocol.rtp import CLOCK

#: Packets after which the fastest one is looked for anew; the last such period counts too (2 to 4 s).
PERIOD = 100
#: A transit this far from the usual, seconds, is another clock, not another delay.
ANOTHER_CLOCK = 2.0
#: Of what a packet is later than expected, the part that the expectation takes over; and what a packet that is not
#: makes it forget, of the expectation (half of it in 7 s) and at least, seconds.
TAKE_OVER = 0.25
FORGET = 0.002
LEAST_FORGOTTEN = 0.0001
#: How late an overtaken packet is expected at first, and how fast that is forgotten, seconds a packet: within 2 s, for
#: most networks keep the order, and a gap that is waited for is a longer stall.
DISORDER = 0.02
FORGET_DISORDER = 0.0002
#: The most that is expected, seconds.
MOST = 0.2


class Network:
    """Transit of the packets of one stream, seconds."""

    def __init__(self) -> None:
        self._fastest: float | None = None
        self._before = 0.0
        self._count = 0
        #: Transit of the fastest packet, and how much later than it nearly all others come.
        self.base = 0.0
        self.spread = 0.0
        #: How late packets come that were overtaken.
        self.disorder = DISORDER

    def note(self, timestamp: int, arrival: float, *, overtaken: bool) -> None:
        """A packet has come. ``timestamp`` does not wrap."""
        transit = arrival - timestamp / CLOCK
        if self._fastest is None or abs(transit - self.base) > ANOTHER_CLOCK:
            self._fastest = self._before = self.base = transit
            self._count = 0
            return
        self._count += 1
        self._fastest = min(self._fastest, transit)
        if self._count == PERIOD:
            self._count, self._before, self._fastest = 0, self._fastest, transit
        base = min(self._fastest, self._before)
        # What is expected is a moment, not a difference: it stays where it is when the measure moves.
        self.spread = min(max(0.0, self.spread + self.base - base), MOST)
        self.base = base
        late = transit - base
        if late > self.spread:
            self.spread = min(self.spread + TAKE_OVER * (late - self.spread), MOST)
        else:
            self.spread = max(0.0, self.spread - max(FORGET * self.spread, LEAST_FORGOTTEN))
        if overtaken:
            self.disorder = min(max(self.disorder, late), MOST)
        else:
            self.disorder = max(0.0, self.disorder - FORGET_DISORDER)
