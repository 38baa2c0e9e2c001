"""Erasing a call from the tables, and remembering that it is erased."""

from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from offhook.protocol.record import Erased
from offhook.services.store.reading import struct
from offhook.services.store.tables import (
    call_analyses,
    calls,
    erasures,
    transcript_lines,
    transcript_search,
    webhook_messages,
)


def erase(connection: Connection, call: str, *, now: float) -> Erased | None:
    """Delete all rows of a call and note its erasure; None when there is no such call.

    What is left to delete elsewhere (its log, its files) stands as an erasure that is not done.
    """
    found = connection.execute(select(calls.c.workspace).where(calls.c.id == call).with_for_update()).first()
    if found is None:
        return None
    told = connection.execute(delete(webhook_messages).where(webhook_messages.c.call == call)).rowcount
    deleted = {
        "transcript_lines": _count(connection, transcript_lines, transcript_lines.c.call == call),
        "analyses": connection.execute(delete(call_analyses).where(call_analyses.c.call == call)).rowcount,
        "webhook_messages": told,
        "records": 1,
    }
    indexed = _count(connection, transcript_search, transcript_search.c.call == call)
    connection.execute(delete(calls).where(calls.c.id == call))
    if indexed and connection.dialect.name == "sqlite":
        # The index only marks words as deleted; merged as a whole, it forgets them.
        connection.execute(text("INSERT INTO transcript_words (transcript_words) VALUES ('optimize')"))
    note_erasure(connection, call, workspace=found.workspace, now=now)
    connection.execute(update(erasures).where(erasures.c.call == call).values(deleted=deleted))
    return Erased(call=call, asked_at=now, deleted=deleted)


def note_erasure(connection: Connection, call: str, *, workspace: str | None, now: float) -> None:
    """Have whatever comes of a call's log from now on passed over."""
    if connection.execute(select(erasures.c.call).where(erasures.c.call == call)).first() is None:
        values: dict[str, Any] = {"call": call, "workspace": workspace, "asked_at": now, "deleted": {}}
        connection.execute(insert(erasures), values)


def read_open_erasures(connection: Connection, limit: int) -> list[Erased]:
    """Erasures of which log and files are still to be deleted, oldest first."""
    query = select(erasures).where(erasures.c.done_at.is_(None)).order_by(erasures.c.asked_at).limit(limit)
    return [struct(row, Erased) for row in connection.execute(query)]


def read_erasure(connection: Connection, call: str, *, workspace: str | None = None) -> Erased | None:
    """The report of one erasure; of ``workspace`` only, if given."""
    query = select(erasures).where(erasures.c.call == call)
    if workspace is not None:
        query = query.where(erasures.c.workspace == workspace)
    row = connection.execute(query).first()
    return None if row is None else struct(row, Erased)


def end_erasure(connection: Connection, call: str, deleted: dict[str, int], *, now: float) -> Erased | None:
    """Note that log and files are gone, too; the whole report."""
    kept = read_erasure(connection, call)
    if kept is None:
        return None
    values: dict[str, Any] = {"deleted": kept.deleted | deleted, "done_at": now}
    connection.execute(update(erasures).where(erasures.c.call == call).values(values))
    return read_erasure(connection, call)


def _count(connection: Connection, table: Any, condition: Any) -> int:
    return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
