"""The transcript actor: takes the logs of all calls into their records.

It follows the logs as a durable reader and acknowledges an entry once its record is written. So whatever dies, entries
come again rather than get lost, and the records pass over what they have. Where entries of a call come out of order
(another process read the one in front), the log itself is read: it is the call, and it has them all in order.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from offhook.actors.inbox import send_to_dead_letters
from offhook.actors.ports import Bus, BusAway, Delivery, Stored
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import BadMessage, decode_entry
from offhook.protocol.record import OutOfOrder, RecordsAway

#: Name of the durable reader; all processes of the role share it.
READER = "records"
#: Entries that are written in one go, if so many have come.
BATCH = 1000
#: Waits before trying again what is away: the first and the longest, seconds.
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0


class Records(Protocol):
    """Where records are kept."""

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        """Take an entry into the record of its call; it is on disk then. False when it was taken before.

        ``over_gap``: take it though entries before it are missing; the log has lost them. Raises ``OutOfOrder`` when
        they are missing otherwise, ``RecordsAway``.
        """

    async def project_all(self, entries: Sequence[LogEntry]) -> int:
        """Take entries of any calls, all or none of them, passing over those taken before; how many were new.

        Raises ``OutOfOrder``, ``RecordsAway``.
        """


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
                    await self._follow(deliveries, pause)
            except* BusAway:
                pass
            await pause.wait()

    async def _follow(self, deliveries: AsyncIterator[Delivery], pause: "_Pause") -> None:
        """Take what is delivered, until nothing more can be."""
        # While one batch is written the next one comes in: the bus sends more only to a reader that has read.
        put, waiting = anyio.create_memory_object_stream[Delivery](BATCH)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pass_on, deliveries, put)
            with waiting:
                async for delivery in waiting:
                    batch = [delivery]
                    while len(batch) < BATCH and (more := _next_of(waiting)) is not None:
                        batch.append(more)
                    await self._take(batch)
                    pause.reset()

    async def _take(self, batch: list[Delivery]) -> None:
        """Write what a batch holds into the records, then acknowledge it."""
        entries = list[tuple[str, LogEntry]]()
        for delivery in batch:
            try:
                entries.append((delivery.subject, decode_entry(delivery.subject, delivery.data)))
            except BadMessage as error:
                await send_to_dead_letters(
                    self._bus, delivery.subject, delivery.data, error, revision=delivery.revision
                )
        if len(entries) < 2 or not await self._project_together([entry for _, entry in entries]):
            for subject, entry in entries:
                await self._project(subject, entry)
        for delivery in batch:
            await delivery.ack()

    async def _project_together(self, entries: list[LogEntry]) -> bool:
        """Write entries in one go; False when that is not possible, and nothing has changed or it is not known."""
        try:
            await self._records.project_all(entries)
        except (OutOfOrder, RecordsAway):
            return False
        return True

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


async def run_records(bus: Bus, records: Records) -> None:
    """Take the logs of all calls into ``records`` until cancelled."""
    await TranscriptActor(bus, records).run()


async def _pass_on(deliveries: AsyncIterator[Delivery], put: MemoryObjectSendStream[Delivery]) -> None:
    with put:
        async for delivery in deliveries:
            await put.send(delivery)


def _next_of(waiting: MemoryObjectReceiveStream[Delivery]) -> Delivery | None:
    """What has come already."""
    try:
        return waiting.receive_nowait()
    except (anyio.WouldBlock, anyio.EndOfStream):
        return None


class _Pause:
    """Waits that double."""

    def __init__(self) -> None:
        self._seconds = FIRST_WAIT

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._seconds = FIRST_WAIT

    async def wait(self) -> None:
        await anyio.sleep(self._seconds)
        self._seconds = min(self._seconds * 2, LONGEST_WAIT)


def _readable(stored: Stored) -> LogEntry | None:
    try:
        return decode_entry(stored.subject, stored.data)
    except BadMessage:
        return None
