"""Two sides of a call on one clock: which packet of each belongs into which 20 ms of a recording.

A side's RTP timestamps place its packets, so what was quiet (DTX) or lost stays a gap of the right length. When its
first packet came ties them to the clock of the recording; they are tied anew when the two no longer agree, because
another source goes on with other timestamps, or because its clock runs faster than ours.

A gap becomes digital silence. RFC 7845 4.1 proposes packets without data, over which a decoder goes on with what it
heard; some decoders make a loud buzz of them, so that only silence plays well everywhere.
"""

from collections.abc import Iterator
from enum import IntEnum

from offhook.protocol.recording.packets import SILENCE, UNIT, Packet, is_empty, parse, write

#: Seconds of one slot.
SLOT = 0.02
#: A packet whose timestamp places it this far before or behind the time it came is tied to the clock anew, slots. It
#: may come late, for a network can hold packets back; it cannot come early by more than the first one was late.
MOST_LATE = 150
MOST_EARLY = 10
_SILENT = parse(SILENCE)


class Side(IntEnum):
    """Whose sound a track holds. The number is the channel in the file."""

    CALLER = 0
    AGENT = 1


class _Track:
    """One side: its packets by slot, until they are taken."""

    def __init__(self) -> None:
        self._slots: dict[int, Packet] = {}
        #: A timestamp and the slot it belongs to.
        self._tie: tuple[int, int] | None = None

    def place(self, now: int, timestamp: int, first: int, units: list[Packet]) -> int:
        """Place units that came in slot ``now``; those before slot ``first`` are too late. Returns how many were."""
        slot = self._slot(now, timestamp)
        late = 0
        for at, unit in enumerate(units, slot):
            if at < first:
                late += 1
            elif not is_empty(unit):
                # Of two for one slot the first counts: a packet that came twice, or an old source beside a new one.
                self._slots.setdefault(at, unit)
        return late

    def take(self, slot: int) -> Packet:
        return self._slots.pop(slot, _SILENT)

    def _slot(self, now: int, timestamp: int) -> int:
        if self._tie is not None:
            known, slot = self._tie
            ahead = (timestamp - known + 2**31) % 2**32 - 2**31
            slot += round(ahead / UNIT)
            if -MOST_LATE <= slot - now <= MOST_EARLY:
                # The tie moves along, so that timestamps may wrap.
                self._tie = (timestamp, slot)
                return slot
        self._tie = (timestamp, now)
        return now


class Tracks:
    """Both sides of one call. Times are seconds since the recording began."""

    def __init__(self) -> None:
        self._tracks = (_Track(), _Track())
        self._next = 0
        #: Units that came when their slot was taken already.
        self.late = 0

    @property
    def samples(self) -> int:
        """How much was taken so far, in samples of 48 kHz."""
        return self._next * UNIT

    def put(self, side: Side, at: float, timestamp: int, units: list[Packet]) -> None:
        """Packets of 20 ms each that came together at ``at``; the first has this RTP timestamp (48 kHz)."""
        self.late += self._tracks[side].place(int(at / SLOT), timestamp, self._next, units)

    def take(self, until: float) -> Iterator[bytes]:
        """The slots that are over at ``until``, in order: for each one packet with both streams (RFC 7845 3)."""
        last = int(until / SLOT)
        caller, agent = self._tracks
        while self._next < last:
            yield write(caller.take(self._next), delimited=True) + write(agent.take(self._next))
            self._next += 1
