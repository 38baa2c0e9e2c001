"""Which calls pass a filter, newest first: as soon for words that nearly every call has as for those of a few.

The columns of a call have indices in the order of a page. Words and facts of the metadata have indices that know no
time, and no database can say well beforehand how many calls hold one. So they are sought in two ways, one after the
other. The newest calls that the columns let pass are looked at one by one: a page of what is common is full soon. Where
it is not, what is sought is rare, or has not come up for long: all calls that hold it are gathered by its index, and
sorted.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    column,
    false,
    func,
    literal,
    select,
    table,
    text,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from offhook.protocol.record import CallFilter
from offhook.services.store.cleaning import clean_value
from offhook.services.store.searching import fact, fts5_query, tsquery, words_to_find
from offhook.services.store.tables import call_facts, calls, transcript_search

#: So many calls are looked at one by one.
LOOK = 2000
#: A fact that more calls hold is not rare.
FEW = 2000

#: Columns that a filter compares with one value.
_COMPARED = ("workspace", "state", "agent", "reason", "channel")

_transcript_words = table("transcript_words", column("rowid"))


class _Sought(msgspec.Struct, frozen=True):
    """Something that has an index of its own."""

    #: Whether the call has it that the query around this one looks at: a query of its own, so that no planner makes
    #: a join of it that begins with all calls that have it.
    here: Any
    #: The ids of all calls that have it.
    everywhere: Select[Any]


def find_calls(
    connection: Connection, wanted: CallFilter, limit: int, after: tuple[float, str] | None
) -> Sequence[Any]:
    """The rows of ``limit`` calls that pass the filter, newest first, behind the one made at ``after`` (time, id)."""
    plain, sought = _plain(calls.c, wanted, after), _sought(connection, wanted)
    if not sought:
        return connection.execute(_newest(select(calls).where(*plain), calls.c, limit)).all()
    moments = select(calls.c.created_at, calls.c.id).where(*plain)
    edge = connection.execute(_newest(moments, calls.c, 1).offset(LOOK)).first()
    looked = true() if edge is None else tuple_(calls.c.created_at, calls.c.id) > tuple_(*edge)
    near = select(calls).where(*plain, looked, *(one.here for one in sought))
    rows = connection.execute(_newest(near, calls.c, limit)).all()
    if edge is None or len(rows) == limit:
        return rows
    return _gather(connection, wanted, limit, after, sought)


def _gather(
    connection: Connection,
    wanted: CallFilter,
    limit: int,
    after: tuple[float, str] | None,
    sought: Sequence[_Sought],
) -> Sequence[Any]:
    if connection.dialect.name == "postgresql":
        # A word of which it has no statistics it takes for a common one, and would read whole tables for it.
        for way in ("seqscan", "hashjoin", "mergejoin"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        connection.exec_driver_sql("SET LOCAL max_parallel_workers_per_gather = 0")
    rarest = _rarest(connection, sought)
    having = [calls.c.id.in_(rarest.everywhere), *(one.here for one in sought if one is not rarest)]
    columns = [calls.c[name] for name in (*_COMPARED, "created_at", "id")]
    held = select(*columns).where(*having).cte("calls_held").prefix_with("MATERIALIZED")
    page = _newest(select(held.c.id).where(*_plain(held.c, wanted, after)), held.c, limit)
    return connection.execute(_newest(select(calls).where(calls.c.id.in_(page)), calls.c, limit)).all()


def _rarest(connection: Connection, sought: Sequence[_Sought]) -> _Sought:
    """The first fact that few calls have, else the words, else the first fact."""
    for one in sought[1:]:
        some = select(func.count()).select_from(one.everywhere.limit(FEW + 1).subquery())
        if connection.execute(some).scalar_one() <= FEW:
            return one
    return sought[0]


# ── the filter ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(of: Any, wanted: CallFilter, after: tuple[float, str] | None) -> list[ColumnElement[bool]]:
    """What the columns of a call must be."""
    compared = [(of[name], getattr(wanted, name)) for name in _COMPARED]
    conditions = [here == clean_value(str(value)) for here, value in compared if value is not None]
    if wanted.since is not None:
        conditions.append(of.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(of.created_at < wanted.until)
    if after is not None:
        conditions.append(tuple_(of.created_at, of.id) < tuple_(*after))
    return conditions


def _newest(query: Select[Any], of: Any, limit: int) -> Select[Any]:
    return query.order_by(of.created_at.desc(), of.id.desc()).limit(limit)


def _sought(connection: Connection, wanted: CallFilter) -> list[_Sought]:
    """The words, then the facts."""
    words = [] if wanted.text is None else [_words(connection, words_to_find(wanted.text))]
    facts = [fact(clean_value(name), clean_value(value)) for name, value in (wanted.metadata or {}).items()]
    return [*words, *map(_fact, facts)]


def _fact(word: str) -> _Sought:
    held = call_facts.c.fact == word
    return _Sought(
        here=select(true()).where(call_facts.c.call == calls.c.id, held).scalar_subquery(),
        everywhere=select(call_facts.c.call).where(held),
    )


def _words(connection: Connection, words: list[str]) -> _Sought:
    """All the words, in the transcript of an ended call."""
    said, mine = transcript_search.c, transcript_search.c.call == calls.c.id
    if not words:
        # Nothing but signs was asked for: nothing can hold it.
        return _Sought(here=false(), everywhere=select(said.call).where(false()))
    if connection.dialect.name == "postgresql":
        matches = said.words.bool_op("@@")(cast(literal(tsquery(words), Text), TSQUERY))
        return _Sought(here=select(matches).where(mine).scalar_subquery(), everywhere=select(said.call).where(matches))
    # A word follows a space; FTS5 would gather all calls again for each one that is looked at.
    has = (func.instr(literal(" ") + said.words, f" {word}") > 0 for word in words)
    found = (
        select(_transcript_words.c.rowid)
        .select_from(_transcript_words)
        .where(text("transcript_words MATCH :fts5").bindparams(fts5=fts5_query(words)))
    )
    return _Sought(
        here=select(and_(*has)).where(mine).scalar_subquery(),
        everywhere=select(said.call).where(said.id.in_(found)),
    )
