"""Packets that wait to be played: put in order, counted, bounded."""

import msgspec

from offhook.protocol.jitter.network import Network
from offhook.protocol.opus_packet import ticks_of
from offhook.protocol.rtp import CLOCK, ahead

#: A sequence number this far from the expected one is a new beginning, not a loss.
MAX_JUMP = 500
#: Packets that wait at most. More than two seconds of the shortest usual ones; beyond that the oldest are dropped.
MAX_WAITING = 250


class Packet(msgspec.Struct, frozen=True):
    """A packet that waits. Sequence number and timestamp do not wrap."""

    sequence: int
    timestamp: int
    #: None: it holds no audio (a digit), and says that the missing time is none.
    payload: bytes | None
    ticks: int
    arrival: float


class Counts(msgspec.Struct):
    """What became of the packets of a stream, and how its time was filled."""

    received: int = 0
    #: Never came, or too late.
    lost: int = 0
    #: Came when their time was over, came twice, or were dropped because too many waited.
    late: int = 0
    doubled: int = 0
    dropped: int = 0
    #: Time, in ticks: from packets, from the redundancy of the packet after, made up, and silence nobody sent.
    decoded: int = 0
    recovered: int = 0
    concealed: int = 0
    quiet: int = 0


def sum_of(one: Counts, other: Counts) -> Counts:
    """The counts of two streams together."""
    return Counts(*(a + b for a, b in zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)))


class Waiting:
    """The packets of one stream that wait, from the expected one on."""

    def __init__(self) -> None:
        self.network = Network()
        self.counts = Counts()
        self._packets: dict[int, Packet] = {}
        #: Sequence number of the packet to be played next; None before the first.
        self.next: int | None = None
        #: Timestamp just behind what was played last; None until something was.
        self.end: int | None = None
        self._ticks = 0
        self._highest = 0
        self._timestamp = 0

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, sequence: int, timestamp: int, payload: bytes | None, arrival: float) -> None:
        """A packet has come. Numbers are those of its header; whatever they are, this does not raise."""
        self.counts.received += 1
        expected = self.next
        distance = 0 if expected is None else ahead(sequence, expected)
        if expected is None or not -MAX_JUMP <= distance <= MAX_JUMP:
            self._begin(sequence, timestamp)
            distance = 0
        assert self.next is not None
        number = self.next + distance
        timestamp = self._timestamp + ahead(timestamp, self._timestamp, 32)
        if payload is not None:
            # The packets of one key share the time of its beginning (RFC 4733 2.2.1): they tell nothing of the network.
            self.network.note(timestamp, arrival, overtaken=number < self._highest)
        if distance < 0 and (self.end is not None or distance <= -MAX_WAITING):
            self.counts.late += 1
            return
        if number in self._packets:
            self.counts.doubled += 1
            return
        if distance < 0:
            # Nothing was played yet, so the beginning may still move back.
            self.next = number
        self._keep(Packet(number, timestamp, payload, 0 if payload is None else ticks_of(payload), arrival))

    def peek(self) -> Packet | None:
        """The packet to be played next, if it is there; it stays."""
        return None if self.next is None else self._packets.get(self.next)

    def pop(self) -> None:
        """Take the packet to be played next, which is there, out."""
        assert self.next is not None
        self._ticks -= self._packets.pop(self.next).ticks
        self.next += 1

    def first(self) -> Packet | None:
        """The first packet that is there; it stays."""
        return self._packets[min(self._packets)] if self._packets else None

    @property
    def oldest(self) -> float | None:
        """When that came which waits longest; None: nothing waits."""
        return min((packet.arrival for packet in self._packets.values()), default=None)

    def skip_to(self, packet: Packet) -> None:
        """Give up those missing before ``packet``."""
        assert self.next is not None
        self.counts.lost += packet.sequence - self.next
        self.next = packet.sequence

    @property
    def span(self) -> float:
        """Seconds of audio that wait."""
        return self._ticks / CLOCK

    def _begin(self, sequence: int, timestamp: int) -> None:
        self.counts.dropped += len(self._packets)
        self._packets.clear()
        self._ticks = 0
        self.next, self.end = sequence, None
        self._highest, self._timestamp = sequence, timestamp

    def _keep(self, packet: Packet) -> None:
        if len(self._packets) >= MAX_WAITING:
            oldest = min(self._packets)
            self._ticks -= self._packets.pop(oldest).ticks
            self.counts.dropped += 1
            self.next = max(self.next or 0, oldest + 1)
        self._packets[packet.sequence] = packet
        self._ticks += packet.ticks
        if packet.sequence >= self._highest:
            self._highest = packet.sequence
            self._timestamp = packet.timestamp
