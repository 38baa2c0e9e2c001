"""The ``Records`` port over the store: entries in a worker thread."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio
from sqlalchemy import Connection

from offhook.protocol.call import LogEntry
from offhook.protocol.record import OpenErasure, RecordsAway
from offhook.services.store.projecting import Listener, Taken
from offhook.services.store.store import Store

log = logging.getLogger("offhook.records")

T = TypeVar("T")


class StoreRecords:
    """Writes entries to a store, one transaction at a time: SQLite has one writer, and the order of a call is kept."""

    def __init__(self, store: Store, *, listeners: Sequence[Listener] = ()) -> None:
        self._store = store
        self._listeners = listeners
        self._thread = anyio.CapacityLimiter(1)

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        """Take an entry into its record. Raises ``OutOfOrder``, ``RecordsAway``."""
        return await self._write(partial(self._store.project, entry, over_gap=over_gap, listener=self._tell))

    async def project_all(self, entries: Sequence[LogEntry]) -> int:
        """Take entries in one transaction. Raises ``OutOfOrder``, ``RecordsAway``."""
        return await self._write(partial(self._store.project_all, entries, listener=self._tell))

    def _tell(self, connection: Connection, taken: list[Taken]) -> None:
        for listener in self._listeners:
            listener(connection, taken)

    async def _write(self, work: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._thread)
        except RecordsAway as error:
            log.warning("store is away", extra={"why": str(error)})
            raise


class StoreErasures:
    """The ``Erasures`` port over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open_erasures(self, *, after: str) -> list[OpenErasure]:
        """See ``Erasures``."""
        return await anyio.to_thread.run_sync(partial(self._store.open_erasures, after=after))

    async def forget_words(self) -> None:
        """See ``Erasures``."""
        await anyio.to_thread.run_sync(self._store.forget_words)

    async def end_erasure(self, call: str, deleted: dict[str, int], *, now: float) -> None:
        """See ``Erasures``."""
        await anyio.to_thread.run_sync(partial(self._store.end_erasure, call, deleted, now=now))

    async def expire(self, *, now: float) -> int:
        """See ``Erasures``."""
        return await anyio.to_thread.run_sync(partial(self._store.expire, now=now))
