"""The transcript actor: takes the logs of all calls into their records.

It follows the logs as a durable reader and acknowledges an entry once its record is written. So whatever dies, entries
come again rather than get lost, and the records pass over what they have. Where entries of a call come out of order
(another process read the one in front), the log itself is read: it is the call, and it has them all in order.
"""

import contextlib
from collections.abc import Sequence
from typing import Protocol

import anyio

from offhook.actors.inbox import send_to_dead_letters
from offhook.actors.ports import Bus, BusAway, Stored
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import BadMessage, decode_entry
from offhook.protocol.record import OutOfOrder, RecordsAway

#: Name of the durable reader; all processes of the role share it.
READER = "records"
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
            with contextlib.suppress(BusAway):
                async with self._bus.follow(subjects.ALL_LOGS, reader=READER) as batches:
                    async for batch in batches:
                        await self._take(batch.messages)
                        await batch.ack()
                        pause.reset()
            await pause.wait()

    async def _take(self, messages: Sequence[Stored]) -> None:
        """Write what messages hold into the records."""
        entries = list[tuple[str, LogEntry]]()
        for message in messages:
            try:
                entries.append((message.subject, decode_entry(message.subject, message.data)))
            except BadMessage as error:
                await send_to_dead_letters(self._bus, message.subject, message.data, error, revision=message.revision)
        if len(entries) < 2 or not await self._project_together([entry for _, entry in entries]):
            for subject, entry in entries:
                await self._project(subject, entry)

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
