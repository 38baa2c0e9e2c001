"""The store: records of calls in a database.

Synchronous; callers on a loop go through worker threads. Any number of threads and processes may use one database.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select

from offhook.protocol.call import LogEntry
from offhook.protocol.record import CallFilter, CallPage, CallRecord, Erased, OpenErasure
from offhook.services.store import erasing, reading
from offhook.services.store.analyses import StoreAnalyses
from offhook.services.store.cleaning import clean
from offhook.services.store.engine import away, open_engine, transaction
from offhook.services.store.outbox import StoreOutbox
from offhook.services.store.projecting import Listener, project
from offhook.services.store.schema import migrate
from offhook.services.store.tables import call_log_position, calls
from offhook.services.store.webhooks import Webhooks

#: Records read at a time for an export.
EXPORT_SIZE = 200


def open_store(place: str | Path) -> "Store":
    """Open the store at a database URL or at the path of an SQLite file, made and migrated where needed.

    Raises ``RecordsAway``, ``SchemaTooNew``, ``BadStoreUrl``.
    """
    with away():
        engine = open_engine(place)
        migrate(engine)
    return Store(engine)


class Store:
    """Records of calls. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # ── writing ────────────────────────────────────────────────────────────────────────────────────────────────

    def project(self, entry: LogEntry, *, over_gap: bool = False, listener: Listener | None = None) -> bool:
        """Take one entry of a log into the record of its call; False when it was taken before.

        All or nothing. Raises ``OutOfOrder`` when entries before this one are missing (``over_gap``: goes on without
        them), or when another process has just taken it: offer it again. Of a call that was erased nothing is taken.
        """
        with self.writing() as connection:
            return project(connection, [clean(entry)], over_gap=over_gap, listener=listener) > 0

    def project_all(self, entries: Sequence[LogEntry], *, listener: Listener | None = None) -> int:
        """Take entries of any calls in one transaction; how many of them were new. Raises as ``project``."""
        with self.writing() as connection:
            return project(connection, [clean(entry) for entry in entries], listener=listener)

    def rebuild(self, call: str, entries: Sequence[LogEntry]) -> bool:
        """Make the record of a call anew from its whole log; False when the record knows more than ``entries``.

        Nobody is told of anything, and the analysis stays.
        """
        with self.writing() as connection:
            query = select(call_log_position.c.seq).where(call_log_position.c.call == call).with_for_update()
            if (connection.execute(query).scalar() or 0) > max((entry.seq for entry in entries), default=0):
                return False
            connection.execute(delete(calls).where(calls.c.id == call))
            project(connection, [clean(entry) for entry in entries], over_gap=True)
        return True

    def erase(self, call: str, *, now: float, even_living: bool = False) -> Erased | None:
        """Delete the record of a call, with all that was made of it; None when there is none.

        Its log and its files are not the store's: until ``end_erasure`` they count as still there, and before that
        ``forget_words`` is due. Raises ``CallLives``, unless the caller knows that it does not.
        """
        with self.writing() as connection:
            return erasing.erase(connection, call, now=now, even_living=even_living)

    def expire(self, *, now: float, limit: int = 200) -> int:
        """Erase calls that are older than their workspace keeps them, the oldest first; how many."""
        with self.writing() as connection:
            expired = erasing.read_expired(connection, now=now, limit=limit)
            for call in expired:
                erasing.erase(connection, call, now=now)
        return len(expired)

    def forget_words(self) -> None:
        """Have no word of erased calls left in the index of words; others write meanwhile."""
        with self.writing() as connection:
            more = erasing.forget_words(connection, first=True)
        while more:
            with self.writing() as connection:
                more = erasing.forget_words(connection, first=False)

    def keep_days(self, workspace: str, days: int | None) -> None:
        """Have the calls of a workspace erased so many days after their end; None: never."""
        with self.writing() as connection:
            erasing.write_retention(connection, workspace, days)

    def end_erasure(self, call: str, deleted: dict[str, int], *, now: float) -> Erased | None:
        """Note that the log and the files of an erased call are gone, too; the whole report."""
        with self.writing() as connection:
            return erasing.end_erasure(connection, call, deleted, now=now)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────

    def calls(self, wanted: CallFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> CallPage:
        """One page of the calls that pass the filter, newest first. Raises ``BadCursor``."""
        with self.reading() as connection:
            return reading.read_page(connection, wanted or CallFilter(), limit, cursor)

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        """The record of the call whose id is, or (unless ``exact``) alone begins with, ``start``.

        Raises ``CallNotFound``, ``AmbiguousCall``.
        """
        with self.reading() as connection:
            return reading.read_call(connection, start, exact=exact)

    def export_page(self, wanted: CallFilter, *, cursor: str | None = None) -> tuple[list[CallRecord], str | None]:
        """Some of the records that pass the filter, newest first, and the cursor to go on with."""
        with self.reading() as connection:
            page = reading.read_page(connection, wanted, EXPORT_SIZE, cursor)
            return reading.read_records(connection, page.calls), page.cursor

    def export(self, wanted: CallFilter | None = None) -> Iterator[list[CallRecord]]:
        """All records that pass the filter, newest first, some at a time."""
        with self.reading() as connection:
            yield from reading.read_all(connection, wanted or CallFilter(), size=EXPORT_SIZE)

    def erasure(self, call: str, *, workspace: str | None = None) -> Erased | None:
        """The report of an erasure."""
        with self.reading() as connection:
            return erasing.read_erasure(connection, call, workspace=workspace)

    def kept_days(self, workspace: str) -> int | None:
        """For how many days a workspace keeps its calls; None: for ever."""
        with self.reading() as connection:
            return erasing.read_retention(connection, workspace)

    def open_erasures(self, *, after: str = "", limit: int = 100) -> list[OpenErasure]:
        """Erasures of which log and files are still to be deleted, by call, those ``after`` one."""
        with self.reading() as connection:
            return erasing.read_open_erasures(connection, after, limit)

    def open_erasure(self, call: str) -> OpenErasure | None:
        """The erasure of a call, while its log and files are still to be deleted."""
        with self.reading() as connection:
            return erasing.read_open_erasure(connection, call)

    # ── connections ────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; committed in the end, or not at all."""
        with away(), transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that reads."""
        with away(), self._engine.connect() as connection:
            yield connection

    def webhooks(self) -> Webhooks:
        """The webhooks in the same database."""
        return Webhooks(self._engine)

    def analyses(self) -> StoreAnalyses:
        """The analyses of its calls."""
        return StoreAnalyses(self._engine)

    def outbox(self) -> StoreOutbox:
        """What those webhooks are to be told."""
        return StoreOutbox(self._engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
