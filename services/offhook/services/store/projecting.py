"""From the log into the tables: what entries add to the records of their calls, in one transaction.

Entries of many calls come together. Each call's position is read once, the entries are taken one after another in
memory (``advance`` is the same for a whole log), and the rows are written at the end, kind by kind.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from offhook.protocol.call import Call, CallState, LogEntry
from offhook.protocol.record import Advance, OutOfOrder, Progress, advance, summarize
from offhook.services.store.rows import insert_rows, rows_of, update_rows
from offhook.services.store.searching import fact, tsvector, words_to_keep
from offhook.services.store.tables import (
    call_facts,
    call_log_position,
    call_states,
    calls,
    erasures,
    transcript_lines,
    transcript_search,
)

#: Told in the same transaction of what was taken: the call before, the entry, and what it added.
Listener = Callable[[Connection, "list[Taken]"], None]


class Taken(msgspec.Struct, frozen=True):
    """An entry that was taken into the record of its call."""

    before: Progress
    entry: LogEntry
    gained: Advance


def project(
    connection: Connection, entries: Sequence[LogEntry], *, over_gap: bool = False, listener: Listener | None = None
) -> int:
    """Take entries into the records of their calls; how many of them were new.

    Raises ``OutOfOrder`` when one before is missing (nothing must be committed then).
    """
    names = sorted({entry.call for entry in entries})
    kept = _read_progress(connection, names)
    erased = _erased(connection, [name for name in names if name not in kept])
    now, taken = dict(kept), list[Taken]()
    for entry in entries:
        if entry.call in erased:
            continue
        before = now.get(entry.call) or Progress(call=Call(id=entry.call))
        gained = advance(before, entry, over_gap=over_gap)
        if gained is not None:
            now[entry.call] = gained.progress
            taken.append(Taken(before, entry, gained))
    if taken:
        _write(connection, taken, kept, {entry.entry.call: now[entry.entry.call] for entry in taken})
        if listener is not None:
            listener(connection, taken)
    return len(taken)


# Locks the rows until the end of the transaction where the database has such locks (SQLite has one for all writers);
# always in the same order, so that two writers do not wait for each other.
_POSITIONS = (
    select(call_log_position.c.call, call_log_position.c.progress).order_by(call_log_position.c.call).with_for_update()
)
_ERASED = select(erasures.c.call)
_SPOKEN = select(transcript_lines.c.call, transcript_lines.c.text).order_by(
    transcript_lines.c.call, transcript_lines.c.line
)
_progress = msgspec.msgpack.Decoder(Progress)
_encode = msgspec.msgpack.Encoder().encode


def _read_progress(connection: Connection, names: list[str]) -> dict[str, Progress]:
    return {row.call: _progress.decode(row.progress) for row in rows_of(connection, _POSITIONS, names)}


def _erased(connection: Connection, names: list[str]) -> set[str]:
    return set(rows_of(connection, _ERASED, names).scalars()) if names else set()


def _write(connection: Connection, taken: list[Taken], before: dict[str, Progress], after: dict[str, Progress]) -> None:
    try:
        _write_heads(connection, before, after)
    except IntegrityError as error:
        # Another process has just begun the record of one of these calls.
        first = taken[0].entry
        raise OutOfOrder(first, first.seq) from error
    states = [
        {"call": one.entry.call, "seq": one.entry.seq, **columns(one.gained.entered)}
        for one in taken
        if one.gained.entered is not None
    ]
    lines = [{"call": one.entry.call, **columns(one.gained.line)} for one in taken if one.gained.line is not None]
    insert_rows(connection, call_states, states)
    insert_rows(connection, transcript_lines, lines)
    insert_rows(connection, call_facts, [
        {"call": call, "fact": word} for call, progress in after.items() if _offered(before.get(call), progress)
        for word in _facts(progress)
    ])  # fmt: skip
    _write_words(connection, [one.entry.call for one in taken if _ended(one)])


def _write_heads(connection: Connection, before: dict[str, Progress], after: dict[str, Progress]) -> None:
    positions = {
        call: {"call": call, "seq": progress.seq, "progress": _encode(_slim(progress))}
        for call, progress in after.items()
    }
    new = [call for call in after if call not in before]
    old = [call for call in after if call in before]
    insert_rows(connection, calls, [columns(summarize(after[call])) for call in new])
    insert_rows(connection, call_log_position, [positions[call] for call in new])
    # Only what changed: to write a column is to write each index that holds it.
    changed: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for call in old:
        if _differ_in_lines_only(before[call].call, after[call].call):
            continue
        was, now = columns(summarize(before[call])), columns(summarize(after[call]))
        values = {name: value for name, value in now.items() if value != was[name]}
        if values:
            changed.setdefault(tuple(values), []).append({"id": call, **values})
    for rows in changed.values():
        update_rows(connection, calls, rows)
    update_rows(connection, call_log_position, [positions[call] for call in old])


def _differ_in_lines_only(before: Call, after: Call) -> bool:
    """Whether the record's own fields are as they were: so it is after nearly all entries of a call."""
    return msgspec.structs.replace(before, lines=after.lines) == after


def _slim(progress: Progress) -> Progress:
    """The progress without the SDP of both sides: most of its bytes, and nothing that a record is made of."""
    call = progress.call
    offer = None if call.offer is None else msgspec.structs.replace(call.offer, sdp="")
    return msgspec.structs.replace(progress, call=msgspec.structs.replace(call, offer=offer, answer=None))


def _write_words(connection: Connection, ended: list[str]) -> None:
    """Have calls that ended found by what was said in them."""
    if not ended:
        return
    spoken: dict[str, list[str]] = {}
    for row in rows_of(connection, _SPOKEN, ended):
        spoken.setdefault(row.call, []).append(row.text)
    vectors = connection.dialect.name == "postgresql"
    rows = []
    for call, texts in spoken.items():
        words = words_to_keep(texts)
        if words:
            rows.append({"call": call, "words": tsvector(words) if vectors else " ".join(words)})
    insert_rows(connection, transcript_search, rows)


def _offered(before: Progress | None, after: Progress) -> bool:
    """Whether the offer, and with it the metadata, came between the two."""
    return after.call.offer is not None and (before is None or before.call.offer is None)


def _facts(progress: Progress) -> Iterable[str]:
    offer = progress.call.offer
    return sorted({fact(name, value) for name, value in offer.metadata.items()}) if offer is not None else ()


def _ended(taken: Taken) -> bool:
    entered = taken.gained.entered
    return entered is not None and entered.state is CallState.ENDED


def columns(value: msgspec.Struct) -> dict[str, Any]:
    """A Struct as the values of a row."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain
