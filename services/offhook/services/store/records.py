"""The ``Records`` port over the store: each entry in a worker thread."""

import logging
from functools import partial

import anyio

from offhook.protocol.call import LogEntry
from offhook.protocol.record import RecordsAway
from offhook.services.store.store import Store

log = logging.getLogger("offhook.records")


class StoreRecords:
    """Writes entries to a store, one at a time: SQLite has one writer, and the order of a call is kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = anyio.CapacityLimiter(1)

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        """Take an entry into its record. Raises ``OutOfOrder``, ``RecordsAway``."""
        try:
            return await anyio.to_thread.run_sync(
                partial(self._store.project, entry, over_gap=over_gap), limiter=self._thread
            )
        except RecordsAway as error:
            log.warning("store is away", extra={"why": str(error)})
            raise
