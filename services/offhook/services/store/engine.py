"""The connection to the database: one engine, and what SQLite must be told on each connection."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError

from offhook.protocol.errors import OffhookError
from offhook.protocol.record import RecordsAway

#: How long a connection waits for another one that writes, seconds.
BUSY_SECONDS = 5.0
#: How long a connection to a server is tried, seconds.
CONNECT_SECONDS = 5
#: Execution option of a connection that is going to write.
WRITES = "offhook_writes"


def store_file(data: Path) -> Path:
    """Where the SQLite file lies in a data folder."""
    return data / "offhook.db"


def open_engine(place: str | Path, *, busy: float = BUSY_SECONDS) -> Engine:
    """An engine for a database URL, or for the path of an SQLite file (its folder is made)."""
    url = _url(place)
    if url.get_backend_name() == "postgresql":
        # A connection that a restarted server left behind is noticed before it is used.
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
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


class BadStoreUrl(OffhookError):
    """The URL names no database that offhook can use."""


def _url(place: str | Path) -> URL:
    if not (isinstance(place, str) and "://" in place):
        return URL.create("sqlite", database=str(place))
    return read_store_url(place)


def read_store_url(text: str) -> URL:
    """``postgresql://user@host/database`` or ``sqlite:////path``. Raises ``BadStoreUrl``, which shows no password."""
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise BadStoreUrl(_HOW_TO_WRITE) from error
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise BadStoreUrl(f"There is no store in {backend!r}. {_HOW_TO_WRITE}")
    return url


_HOW_TO_WRITE = "Write it as postgresql://USER:PASSWORD@HOST/DATABASE, or as sqlite:////PATH/TO/FILE."


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
