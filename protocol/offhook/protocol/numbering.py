"""Sequence numbers and timestamps of one RTP stream that several sources feed, one after the other.

A receiver knows one stream with one SSRC. What is sent on it changes: speech that is encoded here, the packets of
another party, music. Each source counts in its own way, so its packets are numbered anew:

* Packets made here follow the last one and take the time of now.
* Packets that are passed on keep their distances to each other, so that the receiver still sees what was lost or
  overtaken on the way to us, and repairs it. The first of a source follows the last packet that was sent.
* Time never runs backwards at a change of source: where it would, the whole stream is led by the difference.

Times are RTP timestamps: the caller of these methods gives the time of now on our own clock.
"""

from offhook.protocol.rtp import TICKS, ahead

#: A packet this far from the newest of its source is a new beginning, not one that was lost or overtaken.
MAX_JUMP = 500
#: A timestamp this far from the newest of its source is a new beginning: 10 s.
MAX_LEAP = 500 * TICKS


class Numbering:
    """The numbers of one outgoing stream; ``sequence`` and ``timestamp`` are what it begins behind."""

    def __init__(self, sequence: int, timestamp: int) -> None:
        self._sequence = sequence
        self._timestamp = timestamp
        #: How far the stream's time is ahead of our clock.
        self._lead = 0
        self._source: int | None = None
        #: Of the source: the newest packet, and the oldest that is taken.
        self._newest = (0, 0)
        self._oldest = 0
        self._shift = (0, 0)

    def time(self, now: int) -> int:
        """What the stream's clock shows now (for sender reports, RFC 3550 6.4.1)."""
        return (now + self._lead) % 2**32

    def own(self, now: int) -> tuple[int, int]:
        """Sequence number and timestamp of a packet that is made here; ends the turn of another source."""
        self._source = None
        self._sequence = (self._sequence + 1) % 2**16
        self._timestamp = self._later(now)
        return self._sequence, self._timestamp

    def relayed(self, source: int, sequence: int, timestamp: int, now: int) -> tuple[int, int] | None:
        """The numbers of a packet of ``source``; None for a straggler from before the source had its turn."""
        far = ahead(sequence, self._newest[0])
        if source != self._source or abs(far) > MAX_JUMP or abs(ahead(timestamp, self._newest[1], 32)) > MAX_LEAP:
            self._begin(source, sequence, timestamp, now)
            far = 0
        elif ahead(sequence, self._oldest) < 0:
            return None
        numbers = (sequence + self._shift[0]) % 2**16, (timestamp + self._shift[1]) % 2**32
        if far >= 0:
            self._newest = sequence, timestamp
            self._sequence, self._timestamp = numbers
            if ahead(sequence, self._oldest) > MAX_JUMP:
                self._oldest = (sequence - MAX_JUMP) % 2**16
        return numbers

    def _begin(self, source: int, sequence: int, timestamp: int, now: int) -> None:
        self._source, self._oldest = source, sequence
        self._shift = self._sequence + 1 - sequence, self._later(now) - timestamp

    def _later(self, now: int) -> int:
        """The time of now, behind everything that was sent."""
        behind = ahead(self._timestamp, self.time(now), 32)
        if behind >= 0:
            self._lead += behind + TICKS
        return self.time(now)
