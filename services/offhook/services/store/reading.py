"""Reading the tables: pages of calls, one call, and all calls one after another."""

import base64
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, select

from offhook.protocol.record import (
    AmbiguousCall,
    Analysis,
    BadCursor,
    CallFilter,
    CallNotFound,
    CallPage,
    CallRecord,
    CallSummary,
    StateEntered,
    TranscriptLine,
    complete,
)
from offhook.services.store.cleaning import clean_value
from offhook.services.store.finding import find_calls
from offhook.services.store.tables import call_analyses, call_states, calls, transcript_lines

#: Most calls on one page.
MAX_PAGE = 200

T = TypeVar("T")


def read_page(connection: Connection, wanted: CallFilter, limit: int, cursor: str | None) -> CallPage:
    """One page of the calls that pass the filter, newest first. Raises ``BadCursor``."""
    limit = max(1, min(limit, MAX_PAGE))
    after = None if cursor is None else _read_cursor(cursor)
    rows = find_calls(connection, wanted, limit + 1, after)
    found = tuple(struct(row, CallSummary) for row in rows[:limit])
    return CallPage(calls=found, cursor=_cursor(found[-1]) if len(rows) > limit else None)


def read_call(connection: Connection, start: str, *, exact: bool) -> CallRecord:
    """See ``Store.call``."""
    return read_records(connection, [struct(_find(connection, start, exact=exact), CallSummary)])[0]


def read_summaries(connection: Connection, ids: Sequence[str]) -> list[CallSummary]:
    """The summaries of some calls, as far as there are any."""
    return (
        [struct(row, CallSummary) for row in connection.execute(select(calls).where(calls.c.id.in_(ids)))]
        if ids
        else []
    )


def read_records(connection: Connection, summaries: Sequence[CallSummary]) -> list[CallRecord]:
    """The records that belong to some summaries, in their order."""
    these = {"calls": [summary.id for summary in summaries]}
    states = _by_call(connection.execute(_STATES, these), StateEntered)
    lines = _by_call(connection.execute(_LINES, these), TranscriptLine)
    analyses = _by_call(connection.execute(_ANALYSES, these), Analysis)
    return [
        msgspec.structs.replace(
            complete(summary, states.get(summary.id, ()), lines.get(summary.id, ())),
            analysis=next(iter(analyses.get(summary.id, ())), None),
        )
        for summary in summaries
    ]


_STATES = (
    select(call_states.c.call, call_states.c.state, call_states.c.at, call_states.c.because)
    .where(call_states.c.call.in_(bindparam("calls", expanding=True)))
    .order_by(call_states.c.call, call_states.c.seq)
)
_LINES = (
    select(transcript_lines)
    .where(transcript_lines.c.call.in_(bindparam("calls", expanding=True)))
    .order_by(transcript_lines.c.call, transcript_lines.c.line)
)
_ANALYSES = select(call_analyses.c.call, *(call_analyses.c[name] for name in Analysis.__struct_fields__)).where(
    call_analyses.c.call.in_(bindparam("calls", expanding=True))
)


def _by_call(rows: Iterable[Any], kind: type[T]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(row.call, []).append(struct(row, kind))
    return found


def _find(connection: Connection, start: str, *, exact: bool) -> Any:
    start = clean_value(start)
    row = connection.execute(select(calls).where(calls.c.id == start)).first()
    if row is not None:
        return row
    rows: Sequence[Any] = ()
    if start and not exact:
        begins = calls.c.id.startswith(start, autoescape=True)
        if connection.dialect.name == "sqlite":
            # LIKE asks no index there, and takes a for A.
            begins = calls.c.id.between(start, start + chr(sys.maxunicode))
        rows = connection.execute(select(calls).where(begins).limit(2)).all()
    if not rows:
        raise CallNotFound(f"There is no call {start!r}.")
    if len(rows) > 1:
        raise AmbiguousCall(f"Several calls begin with {start!r}. Write more of the id.")
    return rows[0]


# ── rows and cursors ───────────────────────────────────────────────────────────────────────────────────────────────


def struct(row: Any, kind: type[T]) -> T:
    """A row as a Struct; columns it has no field for are left out."""
    # Some column names are a subclass of str, which msgspec does not take for a key.
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, kind)


def read_all(connection: Connection, wanted: CallFilter, *, size: int) -> Iterator[list[CallRecord]]:
    """All records that pass the filter, newest first, some at a time; each some of one moment."""
    cursor = None
    while True:
        page = read_page(connection, wanted, size, cursor)
        yield read_records(connection, page.calls)
        cursor = page.cursor
        if cursor is None:
            return


def _cursor(last: CallSummary) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((last.created_at, last.id))).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        at, call = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[float, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the newest call.") from error
    if "\0" in call:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the newest call.")
    return at, call
