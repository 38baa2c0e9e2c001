"""Erasing calls from the tables, remembering that they are erased, and letting old ones go."""

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text, update

from offhook.protocol.call import CallState, Recording
from offhook.protocol.record import CallLives, Erased, OpenErasure
from offhook.services.store.reading import struct
from offhook.services.store.tables import (
    call_analyses,
    calls,
    erasures,
    retention,
    transcript_lines,
    webhook_messages,
)

DAY = 86_400.0
#: Pages of the index of words that are rewritten in one transaction: some milliseconds.
PAGES = 200
#: Erasures of which log and files are still to be deleted.
_OPEN = select(erasures.c.call, erasures.c.files).where(erasures.c.done_at.is_(None))


def erase(connection: Connection, call: str, *, now: float, even_living: bool = False) -> Erased | None:
    """Delete all rows of a call and note its erasure; None when there is no such call.

    What is left to delete elsewhere (its log, its files) stands as an erasure that is not done. Raises ``CallLives``,
    unless the caller knows better (``even_living``).
    """
    query = select(calls.c.workspace, calls.c.state, calls.c.recording).where(calls.c.id == call)
    found = connection.execute(query.with_for_update()).first()
    if found is None:
        return None
    if found.state != CallState.ENDED and not even_living:
        raise CallLives("The call has not ended. Erase it when it has.")
    told = connection.execute(delete(webhook_messages).where(webhook_messages.c.call == call)).rowcount
    deleted = {
        "records": 1,
        "transcript_lines": _count(connection, transcript_lines, transcript_lines.c.call == call),
        "analyses": connection.execute(delete(call_analyses).where(call_analyses.c.call == call)).rowcount,
        "webhook_messages": told,
    }
    connection.execute(delete(calls).where(calls.c.id == call))
    values: dict[str, Any] = {
        "call": call,
        "workspace": found.workspace,
        "asked_at": now,
        "files": list(msgspec.convert(found.recording, Recording).keys) if found.recording else [],
        "deleted": deleted,
    }
    connection.execute(delete(erasures).where(erasures.c.call == call))
    connection.execute(insert(erasures), values)
    return Erased(call=call, asked_at=now, deleted=deleted)


def forget_words(connection: Connection, *, first: bool) -> bool:
    """Rewrite some of the index of words without those of erased calls; whether more of it is left.

    FTS5 only marks them as deleted; merged as a whole, it forgets them. The whole is told to be merged ``first``, and
    is then merged page by page. PostgreSQL does so when it cleans up (autovacuum), as for all that was deleted.
    """
    if connection.dialect.name != "sqlite":
        return False
    merge = text("INSERT INTO transcript_words (transcript_words, rank) VALUES ('merge', :pages)")
    before = _changes(connection)
    connection.execute(merge, {"pages": -PAGES if first else PAGES})
    # One change is the command itself.
    return _changes(connection) - before > 1


def _changes(connection: Connection) -> int:
    return int(connection.execute(text("SELECT total_changes()")).scalar_one())


def read_open_erasures(connection: Connection, after: str, limit: int) -> list[OpenErasure]:
    """Erasures of which log and files are still to be deleted, by call, those ``after`` one."""
    query = _OPEN.where(erasures.c.call > after).order_by(erasures.c.call).limit(limit)
    return [struct(row, OpenErasure) for row in connection.execute(query)]


def read_open_erasure(connection: Connection, call: str) -> OpenErasure | None:
    """The erasure of a call, while its log and files are still to be deleted."""
    row = connection.execute(_OPEN.where(erasures.c.call == call)).first()
    return None if row is None else struct(row, OpenErasure)


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
    values: dict[str, Any] = {"deleted": kept.deleted | deleted, "done_at": now, "files": []}
    connection.execute(update(erasures).where(erasures.c.call == call).values(values))
    return read_erasure(connection, call)


# ── retention ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read_retention(connection: Connection, workspace: str) -> int | None:
    """For how many days a workspace keeps its calls; None: for ever."""
    return connection.execute(select(retention.c.days).where(retention.c.workspace == workspace)).scalar()


def write_retention(connection: Connection, workspace: str, days: int | None) -> None:
    """Keep the calls of a workspace for so many days; None: for ever."""
    connection.execute(delete(retention).where(retention.c.workspace == workspace))
    if days is not None:
        connection.execute(insert(retention), {"workspace": workspace, "days": days})


def read_expired(connection: Connection, *, now: float, limit: int) -> list[str]:
    """Calls that ended longer ago than their workspace keeps them, oldest first."""
    query = (
        select(calls.c.id)
        .join(retention, retention.c.workspace == calls.c.workspace)
        .where(calls.c.state == CallState.ENDED.value, calls.c.ended_at < now - retention.c.days * DAY)
        .order_by(calls.c.created_at)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def _count(connection: Connection, table: Any, condition: Any) -> int:
    return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
