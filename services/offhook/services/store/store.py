"""The store: records of calls in a database.

Synchronous; callers on a loop go through worker threads. Any number of threads and processes may use one database.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, Select, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from offhook.protocol.call import Call, LogEntry
from offhook.protocol.record import (
    AmbiguousCall,
    BadCursor,
    CallFilter,
    CallNotFound,
    CallPage,
    CallRecord,
    CallSummary,
    OutOfOrder,
    Progress,
    StateEntered,
    TranscriptLine,
    advance,
    complete,
    summarize,
)
from offhook.services.store.cleaning import clean
from offhook.services.store.engine import away, open_engine, transaction
from offhook.services.store.schema import migrate
from offhook.services.store.tables import call_log_position, call_states, calls, transcript_lines

#: Most calls on one page.
MAX_PAGE = 200

T = TypeVar("T")


def open_store(place: str | Path) -> "Store":
    """Open the store at a database URL or at the path of an SQLite file, made and migrated where needed.

    Raises ``RecordsAway``, ``SchemaTooNew``.
    """
    with away():
        engine = open_engine(place)
        migrate(engine)
    return Store(engine)


class Store:
    """Records of calls. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        """Take one entry of a log into the record of its call; False when it was taken before.

        All or nothing. Raises ``OutOfOrder`` when entries before this one are missing (``over_gap``: goes on without
        them), or when another process has just taken it: offer it again.
        """
        entry = clean(entry)
        with away(), transaction(self._engine) as connection:
            row = connection.execute(_POSITION, {"id": entry.call}).first()
            progress = (
                Progress(call=Call(id=entry.call))
                if row is None
                else msgspec.msgpack.decode(row.progress, type=Progress)
            )
            gained = advance(progress, entry, over_gap=over_gap)
            if gained is None:
                return False
            try:
                _write_head(connection, progress, gained.progress)
            except IntegrityError as error:
                raise OutOfOrder(entry, progress.seq + 1) from error
            if gained.entered is not None:
                values = {"call": entry.call, "seq": entry.seq, **_columns(gained.entered)}
                connection.execute(insert(call_states), values)
            if gained.line is not None:
                connection.execute(insert(transcript_lines), {"call": entry.call, **_columns(gained.line)})
        return True

    def calls(self, wanted: CallFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> CallPage:
        """One page of the calls that pass the filter, newest first. Raises ``BadCursor``."""
        limit = max(1, min(limit, MAX_PAGE))
        query = _filtered(wanted or CallFilter())
        if cursor is not None:
            query = query.where(tuple_(calls.c.created_at, calls.c.id) < tuple_(*_read_cursor(cursor)))
        query = query.order_by(calls.c.created_at.desc(), calls.c.id.desc()).limit(limit + 1)
        with away(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        found = tuple(_struct(row, CallSummary) for row in rows[:limit])
        return CallPage(calls=found, cursor=_cursor(found[-1]) if len(rows) > limit else None)

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        """The record of the call whose id is, or (unless ``exact``) alone begins with, ``start``.

        Raises ``CallNotFound``, ``AmbiguousCall``.
        """
        with away(), self._engine.connect() as connection:
            row = _find(connection, start, exact=exact)
            mine = {"id": row.id}
            states = connection.execute(_STATES, mine).all()
            lines = connection.execute(_LINES, mine).all()
        return complete(
            _struct(row, CallSummary),
            [_struct(state, StateEntered) for state in states],
            [_struct(line, TranscriptLine) for line in lines],
        )

    def erase(self, call: str) -> bool:
        """Delete the record of a call; False when there is none."""
        with away(), transaction(self._engine) as connection:
            return connection.execute(delete(calls).where(calls.c.id == call)).rowcount > 0

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


# Locks the row until the end of the transaction where the database has such locks (SQLite has one for all writers).
_POSITION = select(call_log_position).where(call_log_position.c.call == bindparam("id")).with_for_update()
_STATES = (
    select(call_states.c.state, call_states.c.at, call_states.c.because)
    .where(call_states.c.call == bindparam("id"))
    .order_by(call_states.c.seq)
)
_LINES = (
    select(*(column for column in transcript_lines.c if column.name != "call"))
    .where(transcript_lines.c.call == bindparam("id"))
    .order_by(transcript_lines.c.line)
)


def _find(connection: Connection, start: str, *, exact: bool) -> Any:
    row = connection.execute(select(calls).where(calls.c.id == start)).first()
    if row is not None:
        return row
    rows: Sequence[Any] = ()
    if start and not exact:
        query = select(calls).where(calls.c.id.startswith(start, autoescape=True))
        rows = connection.execute(query.limit(2)).all()
    if not rows:
        raise CallNotFound(f"There is no call {start!r}.")
    if len(rows) > 1:
        raise AmbiguousCall(f"Several calls begin with {start!r}. Write more of the id.")
    return rows[0]


def _write_head(connection: Connection, before: Progress, after: Progress) -> None:
    id_ = after.call.id
    summary = _columns(summarize(after))
    position = {"seq": after.seq, "progress": msgspec.msgpack.encode(after)}
    if before.seq == 0:
        connection.execute(insert(calls), summary)
        connection.execute(insert(call_log_position), {"call": id_, **position})
    else:
        connection.execute(update(calls).where(calls.c.id == id_), summary)
        connection.execute(update(call_log_position).where(call_log_position.c.call == id_), position)


def _columns(value: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _struct(row: Any, kind: type[T]) -> T:
    # Some column names are a subclass of str, which msgspec does not take for a key.
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, kind)


def _filtered(wanted: CallFilter) -> Select[Any]:
    query = select(calls)
    for name, value in _columns(wanted).items():
        if value is not None:
            query = query.where(calls.c[name] == value)
    return query


def _cursor(last: CallSummary) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((last.created_at, last.id))).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[float, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the newest call.") from error
