"""Reading the tables: pages of calls, one call, and all calls one after another."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Select, bindparam, column, func, literal, literal_column, select, table, text, tuple_

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
from offhook.services.store.searching import fact, fts5_query, tsquery, words_to_find
from offhook.services.store.tables import (
    call_analyses,
    call_facts,
    call_states,
    calls,
    transcript_lines,
    transcript_search,
)

#: Most calls on one page.
MAX_PAGE = 200
#: Up to so many ended calls that hold the words are sorted; of more, the newest calls are looked at one by one.
FEW = 2000

T = TypeVar("T")

_transcript_words = table("transcript_words", column("rowid"))


def read_page(connection: Connection, wanted: CallFilter, limit: int, cursor: str | None) -> CallPage:
    """One page of the calls that pass the filter, newest first. Raises ``BadCursor``."""
    limit = max(1, min(limit, MAX_PAGE))
    query = _filtered(connection, wanted)
    if cursor is not None:
        query = query.where(tuple_(calls.c.created_at, calls.c.id) < tuple_(*_read_cursor(cursor)))
    query = query.order_by(calls.c.created_at.desc(), calls.c.id.desc()).limit(limit + 1)
    rows = connection.execute(query).all()
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
        query = select(calls).where(calls.c.id.startswith(start, autoescape=True))
        rows = connection.execute(query.limit(2)).all()
    if not rows:
        raise CallNotFound(f"There is no call {start!r}.")
    if len(rows) > 1:
        raise AmbiguousCall(f"Several calls begin with {start!r}. Write more of the id.")
    return rows[0]


# ── the filter ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _filtered(connection: Connection, wanted: CallFilter) -> Select[Any]:
    query = select(calls)
    for name in ("workspace", "state", "agent", "reason", "channel"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(calls.c[name] == clean_value(str(value)))
    if wanted.since is not None:
        query = query.where(calls.c.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(calls.c.created_at < wanted.until)
    for name, value in (wanted.metadata or {}).items():
        has = select(call_facts.c.call).where(call_facts.c.fact == fact(clean_value(name), clean_value(value)))
        query = query.where(calls.c.id.in_(has))
    if wanted.text is not None:
        query = query.where(_says(connection, words_to_find(wanted.text)))
    return query


def _says(connection: Connection, words: list[str]) -> Any:
    """The condition that a call's transcript has all the words."""
    if not words:
        # Nothing but signs was asked for: nothing can hold it.
        return literal_column("1") == literal_column("0")
    if connection.dialect.name == "postgresql":
        matches = text("transcript_search.words @@ CAST(:tsquery AS tsquery)").bindparams(tsquery=tsquery(words))
        return calls.c.id.in_(select(transcript_search.c.call).where(matches))
    found = (
        select(_transcript_words.c.rowid)
        .select_from(_transcript_words)
        .where(text("transcript_words MATCH :fts5").bindparams(fts5=fts5_query(words)))
    )
    some = connection.execute(select(func.count()).select_from(found.limit(FEW + 1).subquery())).scalar_one()
    if some <= FEW:
        return calls.c.id.in_(select(transcript_search.c.call).where(transcript_search.c.id.in_(found)))
    # There are many: going through the calls from the newest on finds a page of them soon. A word follows a space;
    # FTS5 would gather all calls again for each one that is looked at.
    text_of = literal(" ") + transcript_search.c.words
    return (
        select(literal_column("1"))
        .select_from(transcript_search)
        .where(transcript_search.c.call == calls.c.id, *(func.instr(text_of, f" {word}") > 0 for word in words))
        .exists()
    )


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
