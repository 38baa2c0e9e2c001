"""The connection to the database: one engine, and what SQLite must be told on each connection."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

from offhook.protocol.record import RecordsAway

#: How long a connection waits for another one that writes, seconds.
BUSY_SECONDS = 5.0
#: Execution option of a connection that is going to write.
WRITES = "offhook_writes"


def store_file(data: Path) -> Path:
    """Where the SQLite file lies in a data folder."""
    return data / "offhook.db"


def open_engine(place: str | Path, *, busy: float = BUSY_SECONDS) -> Engine:
    """An engine for a database URL, or for the path of an SQLite file (its folder is made)."""
    url = _url(place)
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": busy})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A connection that writes: all of it or nothing."""
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        yield connection


#: Faults of the database and the way to it (a file that is no database comes as a plain DatabaseError); their other
#: kinds (ProgrammingError, IntegrityError ...) are bugs of ours.
_OUTSIDE = frozenset({OperationalError, InterfaceError, DatabaseError})


@contextmanager
def away() -> Iterator[None]:
    """A database that cannot be reached is ``RecordsAway``."""
    try:
        yield
    except DBAPIError as error:
        if type(error) not in _OUTSIDE:
            raise
        raise RecordsAway(f"The database does not answer: {error.orig}") from error


def _url(place: str | Path) -> URL:
    if isinstance(place, str) and "://" in place:
        return make_url(place)
    return URL.create("sqlite", database=str(place))


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's own BEGIN comes too late (before the first write only); _begin_sqlite sends it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: an entry is acknowledged to the bus after the commit, so the commit must outlive a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is erased is written over.
    connection.execute("PRAGMA secure_delete = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: one that reads first and then writes is refused when another wrote in between.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
