"""The transcript actor: takes the logs of all calls into their records.

It follows the logs as a durable reader and acknowledges an entry once its record is written. So whatever dies, entries
come again rather than get lost, and the records pass over what they have. Where entries of a call come out of order
(another process read the one in front), the log itself is read: it is the call, and it has them all in order.
"""

import math
from typing import Protocol

import anyio
import msgspec

from offhook.actors.ports import Bus, BusAway, Delivery, Stored
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.call.events import Said
from offhook.protocol.messages import MAX_BYTES, BadMessage, encode
from offhook.protocol.record import OutOfOrder, RecordsAway

#: Name of the durable reader; all processes of the role share it.
READER = "records"
#: Waits before trying again what is away: the first and the longest, seconds.
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
#: Last position a log can have; a call that gets there is no call.
MAX_SEQ = 2**31 - 1


class Records(Protocol):
    """Where records are kept."""

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        """Take an entry into the record of its call; it is on disk then. False when it was taken before.

        ``over_gap``: take it though entries before it are missing; the log has lost them. Raises ``OutOfOrder`` when
        they are missing otherwise, ``RecordsAway``.
        """


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that could not be read."""

    subject: str
    revision: int
    #: ``too_large``, ``malformed`` or ``wrong_call``.
    reason: str
    detail: str


class TranscriptActor:
    """Takes entries into records until it is cancelled."""

    def __init__(self, bus: Bus, records: Records) -> None:
        self._bus = bus
        self._records = records

    async def run(self) -> None:
        """Follow the logs; never returns."""
        pause = _Pause()
        while True:
            try:
                async with self._bus.follow(subjects.ALL_LOGS, reader=READER) as deliveries:
                    async for delivery in deliveries:
                        await self._take(delivery)
                        pause = _Pause()
            except BusAway:
                pass
            await pause.wait()

    async def _take(self, delivery: Delivery) -> None:
        try:
            entry = _read(delivery.subject, delivery.data)
        except BadMessage as error:
            await self._bury(delivery, error)
        else:
            await self._project(delivery.subject, entry)
        await delivery.ack()

    async def _project(self, subject: str, entry: LogEntry) -> None:
        """Write one entry, however long the records are away."""
        pause = _Pause()
        while True:
            try:
                await self._records.project(entry)
            except OutOfOrder:
                if await self._catch_up(subject, entry):
                    return
            except RecordsAway:
                pass
            else:
                return
            await pause.wait()

    async def _catch_up(self, subject: str, last: LogEntry) -> bool:
        """Write all that the log holds up to ``last``; False when the records went away meanwhile.

        What cannot be read, or is no longer there, is a gap that nothing will fill.
        """
        entries = [entry for entry in map(_readable, await self._bus.read_log(subject)) if entry is not None]
        try:
            for entry in [*(entry for entry in entries if entry.seq < last.seq), last]:
                await self._records.project(entry, over_gap=True)
        except (OutOfOrder, RecordsAway):
            return False
        return True

    async def _bury(self, delivery: Delivery, error: BadMessage) -> None:
        letter = DeadLetter(delivery.subject, delivery.revision, error.reason, str(error))
        await self._bus.publish(subjects.DEAD_LETTERS, encode(letter))


async def run_records(bus: Bus, records: Records) -> None:
    """Take the logs of all calls into ``records`` until cancelled."""
    await TranscriptActor(bus, records).run()


class _Pause:
    """Waits that double."""

    def __init__(self) -> None:
        self._seconds = FIRST_WAIT

    async def wait(self) -> None:
        await anyio.sleep(self._seconds)
        self._seconds = min(self._seconds * 2, LONGEST_WAIT)


def _readable(stored: Stored) -> LogEntry | None:
    try:
        return _read(stored.subject, stored.data)
    except BadMessage:
        return None


_entry = msgspec.msgpack.Decoder(LogEntry)


def _read(subject: str, data: bytes) -> LogEntry:
    """The entry in ``data``. Raises ``BadMessage``."""
    if len(data) > MAX_BYTES:
        raise BadMessage("too_large", f"{len(data)} bytes, at most {MAX_BYTES}")
    try:
        entry = _entry.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadMessage("malformed", str(error)) from error
    if entry.call != subjects.call_of_log(subject):
        raise BadMessage("wrong_call", f"call {entry.call!r} in the log {subject!r}")
    said = entry.event
    times = (entry.at, said.began, said.ended) if isinstance(said, Said) else (entry.at,)
    if not 1 <= entry.seq <= MAX_SEQ or not all(map(math.isfinite, times)):
        raise BadMessage("malformed", "a position or a time that cannot be")
    return entry
