"""What the log of a call and its record say, read side by side for ``offhook replay`` and ``offhook calls erase``."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import msgspec

from offhook.actors.ports import Bus
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import BadMessage, decode_entry
from offhook.protocol.record import CallNotFound, CallRecord, OutOfOrder
from offhook.protocol.replay import Difference, compare
from offhook.services.cli.data_bus import reach_bus

if TYPE_CHECKING:
    from offhook.services.store import Store

#: The records follow the logs: seconds they get to catch up.
CATCH_UP = 3.0

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Unreadable(msgspec.Struct, frozen=True):
    """A message of the log that is no entry."""

    revision: int
    why: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A call as its log and its record tell it."""

    call: str
    entries: tuple[LogEntry, ...]
    unreadable: tuple[Unreadable, ...] = ()
    record: CallRecord | None = None
    differences: tuple[Difference, ...] = ()
    #: Why the two cannot be compared; empty if they were.
    trouble: str = ""

    @property
    def proved(self) -> bool:
        """Whether the fold of the log equals the record."""
        return not self.trouble and not self.differences


class CallArchive:
    """The logs of a bus and the records of a store."""

    def __init__(self, bus: Bus, store: "Store | None") -> None:
        self.bus = bus
        self.store = store

    def find(self, start: str) -> str:
        """The id of the call whose id is, or alone begins with, ``start``. Raises ``CallNotFound``, ``AmbiguousCall``.

        A call without a record is found by its whole id only.
        """
        try:
            if self.store is not None:
                return self.store.call(start).id
        except CallNotFound:
            pass
        if _ID.fullmatch(start):
            return start
        raise CallNotFound(f"There is no call {start!r}.")

    async def read(self, call: str) -> Story:
        """The story of a call, once its record has caught up with its log. Raises ``CallNotFound``."""
        story = await self._read_now(call)
        with anyio.move_on_after(CATCH_UP):
            while not story.proved and story.entries:
                await anyio.sleep(0.2)
                story = await self._read_now(call)
        return story

    async def _read_now(self, call: str) -> Story:
        # The record first: what comes meanwhile is in the log already.
        record = self._record(call)
        entries, unreadable = list[LogEntry](), list[Unreadable]()
        for stored in await self.bus.read_log(subjects.log(call)):
            try:
                entries.append(decode_entry(stored.subject, stored.data))
            except BadMessage as error:
                unreadable.append(Unreadable(stored.revision, str(error)))
        if record is None and not entries:
            raise CallNotFound(f"There is no call {call!r}.")
        differences, trouble = _prove(entries, record)
        return Story(
            call=call,
            entries=tuple(entries),
            unreadable=tuple(unreadable),
            record=record,
            differences=differences,
            trouble=trouble,
        )

    def _record(self, call: str) -> CallRecord | None:
        try:
            return None if self.store is None else self.store.call(call, exact=True)
        except CallNotFound:
            return None


def _prove(entries: list[LogEntry], record: CallRecord | None) -> tuple[tuple[Difference, ...], str]:
    from offhook.services.store import clean

    if not entries:
        return (), "The log is gone: it was kept for as long as --keep-logs says."
    if record is None:
        return (), "There is no record of this call; is the records role running?"
    try:
        return tuple(compare(map(clean, entries), record)), ""
    except OutOfOrder as error:
        return (), f"The log is not whole: {error}."


@asynccontextmanager
async def open_archive(data: Path, nats: str | None, place: str | None = None) -> AsyncIterator[CallArchive]:
    """The logs and records behind a data folder. Raises ``NoBus``, ``NatsUnavailable``, ``BadSetup``."""
    from offhook.services.bus import open_bus
    from offhook.services.cli.call_place import open_kept

    async with reach_bus(data, nats) as url, open_bus(url, name="offhook-cli") as bus:
        with open_kept(data, place) as store:
            yield CallArchive(bus, store)
