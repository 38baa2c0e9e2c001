"""Replay: the log of a call walked entry by entry, and the proof that its record says the same.

Pure: a log and a record go in, what happened and what differs come out.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from offhook.protocol.call import Call, CallEffect, LogEntry, NoEdge, step
from offhook.protocol.record import CallRecord, fold_record


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a log, and what it did to the call."""

    entry: LogEntry
    before: Call
    after: Call
    #: What was posted to the other actors, in order.
    effects: tuple[CallEffect, ...] = ()
    #: Why the entry changed nothing; empty if it did.
    refused: str = ""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which the log and the record do not agree."""

    field: str
    log: Any
    record: Any


def walk(call_id: str, entries: Iterable[LogEntry]) -> list[Passage]:
    """What each entry did. One that the table has no row for is there with its reason and changes nothing."""
    call = Call(id=call_id)
    passages = []
    for entry in entries:
        before, effects, refused = call, list[CallEffect](), ""
        try:
            call, effects = step(call, entry.event, entry.at)
        except NoEdge as error:
            refused = str(error)
        passages.append(Passage(entry=entry, before=before, after=call, effects=tuple(effects), refused=refused))
    return passages


def compare(entries: Iterable[LogEntry], record: CallRecord) -> list[Difference]:
    """Field by field, where the fold of the log differs from the record; empty: they are equal.

    Raises ``OutOfOrder`` when the log is not whole.
    """
    folded = fold_record(record.id, entries)
    # The analysis comes after the log.
    made = msgspec.structs.replace(record, analysis=None)
    return list(_compare("", msgspec.to_builtins(folded), msgspec.to_builtins(made)))


def _compare(field: str, log: Any, record: Any) -> Iterable[Difference]:
    if isinstance(log, dict) and isinstance(record, dict):
        for name in (*log, *(name for name in record if name not in log)):
            yield from _compare(f"{field}.{name}" if field else name, log.get(name), record.get(name))
    elif isinstance(log, list | tuple) and isinstance(record, list | tuple):
        for index in range(max(len(log), len(record))):
            yield from _compare(f"{field}[{index}]", _at(log, index), _at(record, index))
    elif log != record:
        yield Difference(field=field, log=log, record=record)


def _at(items: list[Any] | tuple[Any, ...], index: int) -> Any:
    return items[index] if index < len(items) else None
