"""Two sides of a call on one clock: which packet of each belongs into which 20 ms of a recording.

A side's RTP timestamps place its packets, so what was quiet (DTX) or lost stays a gap of the right length. When its
first packet came ties them to the clock of the recording. They are tied anew when the two no longer agree: another
source goes on with other timestamps, the sender's clock is not ours, it stood still for a while, or a new route takes
longer. A new tie changes what comes after it, never what was placed: nothing is put into a slot twice, nothing before
what was sent earlier. So sound of which there is more than time (a clock faster than ours) is left out.

A gap becomes digital silence. RFC 7845 4.1 proposes packets without data, over which a decoder goes on with what it
heard; some decoders make a loud buzz of them, so that only silence plays well everywhere.
"""

from collections.abc import Iterator
from enum import IntEnum

import msgspec

from offhook.protocol.recording.packets import SILENCE, UNIT, Packet, is_empty, parse, write

#: Seconds of one slot.
SLOT = 0.02
#: A unit whose timestamp places it this far before or behind the time it came is tied to the clock anew, slots. It may
#: come late, for a network can hold packets back; it cannot come early by more than the first one was late.
MOST_LATE = 150
MOST_EARLY = 10
#: Of a burst after a stall the last ones come in time. What has come later than this without end, and too late in part,
#: for so long, is no burst; slots.
TOLERATED = 10
PATIENCE = 25
_SILENT = parse(SILENCE)


class Side(IntEnum):
    """Whose sound a track holds. The number is the channel in the file."""

    CALLER = 0
    AGENT = 1


class _Tie(msgspec.Struct):
    """Timestamps tied to slots."""

    #: A timestamp and the slot it belongs to. They move along, so that timestamps may wrap.
    timestamp: int
    slot: int
    #: The slot of the timestamp it began with, and the first one that was free then.
    start: int = 0
    free: int = 0

    def slot_of(self, timestamp: int) -> int:
        return self.slot + round(((timestamp - self.timestamp + 2**31) % 2**32 - 2**31) / UNIT)


class _Track:
    """One side: its packets by slot, until they are taken."""

    def __init__(self) -> None:
        self._slots: dict[int, Packet] = {}
        self._tie: _Tie | None = None
        #: The tie before, for what was sent before the new one and overtaken.
        self._before: _Tie | None = None
        #: The last slot that has a packet.
        self._last = -1
        #: When the units began to come late, the least that one was, and whether one was too late.
        self._late_since: int | None = None
        self._least_late = 0
        self._missed = False

    def place(self, now: int, timestamp: int, first: int, units: list[Packet]) -> int:
        """Place units that came in slot ``now``. Those before slot ``first`` are too late.

        Returns how many with sound were left out.
        """
        lost = 0
        for number, unit in enumerate(units):
            # They came together, but each could be expected when its time was over.
            slot = self._slot(now + number, (timestamp + number * UNIT) % 2**32, first)
            if is_empty(unit):
                continue
            if slot is None or slot < first:
                lost += 1
                continue
            # Of two for one slot the first counts: the packet came twice.
            self._slots.setdefault(slot, unit)
            self._last = max(self._last, slot)
        return lost

    def take(self, slot: int) -> Packet:
        return self._slots.pop(slot, _SILENT)

    def _slot(self, now: int, timestamp: int, first: int) -> int | None:
        """The slot of a timestamp that came in slot ``now``; None: there is none."""
        if self._tie is None:
            self._tie = _Tie(timestamp, now, start=now - MOST_LATE)
            return now
        slot = self._tie.slot_of(timestamp)
        late = now - slot
        if abs(late) > MOST_LATE:
            return self._tie_anew(self._tie, max(now, min(self._last + 1, now + MOST_EARLY)), timestamp)
        if late < -MOST_EARLY:
            return self._tie_anew(self._tie, now + MOST_EARLY, timestamp)
        if slot < self._tie.start:
            return self._overtaken(self._tie, timestamp)
        if self._is_late_for_good(now, late, missed=slot < first) and slot > self._last:
            return self._tie_anew(self._tie, slot + self._least_late, timestamp)
        self._tie.timestamp, self._tie.slot = timestamp, slot
        return slot if slot >= self._tie.free else None

    def _is_late_for_good(self, now: int, late: int, *, missed: bool) -> bool:
        if late <= TOLERATED:
            self._late_since = None
            return False
        if self._late_since is None:
            self._late_since, self._least_late, self._missed = now, late, False
        self._least_late = min(self._least_late, late)
        self._missed |= missed
        return self._missed and now - self._late_since >= PATIENCE

    def _overtaken(self, tie: _Tie, timestamp: int) -> int | None:
        slot = -1 if self._before is None else self._before.slot_of(timestamp)
        return slot if self._before is not None and self._before.free <= slot < tie.free else None

    def _tie_anew(self, tie: _Tie, slot: int, timestamp: int) -> int | None:
        """From now on this timestamp belongs to this slot. None: there is no room before the next one."""
        self._before, self._late_since = tie, None
        self._tie = _Tie(timestamp, slot, start=slot, free=max(slot, self._last + 1))
        return slot if slot > self._last else None


class Tracks:
    """Both sides of one call. Times are seconds since the recording began."""

    def __init__(self) -> None:
        self._tracks = (_Track(), _Track())
        self._next = 0
        #: Units with sound that came when their time was written already, or for which there was none.
        self.lost = 0

    @property
    def samples(self) -> int:
        """How much was taken so far, in samples of 48 kHz."""
        return self._next * UNIT

    def put(self, side: Side, at: float, timestamp: int, units: list[Packet]) -> None:
        """Packets of 20 ms each that came together at ``at``; the first has this RTP timestamp (48 kHz)."""
        self.lost += self._tracks[side].place(int(at / SLOT), timestamp, self._next, units)

    def take(self, until: float) -> Iterator[bytes]:
        """The slots that are over at ``until``, in order: for each one packet with both streams (RFC 7845 3)."""
        last = int(until / SLOT)
        caller, agent = self._tracks
        while self._next < last:
            yield write(caller.take(self._next), delimited=True) + write(agent.take(self._next))
            self._next += 1
