"""Agents, their versions and what is published, in the database. Synchronous, as the store is; from any thread."""

import hashlib
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from offhook.actors.document_agents import read_document
from offhook.protocol.agent import AgentDocument, DocumentError, Problem
from offhook.protocol.agent.history import (
    KEPT_DRAFTS,
    AgentMoved,
    AgentNotStored,
    AgentTaken,
    AgentText,
    AgentVersion,
    Environment,
    NothingBefore,
    Publication,
    StoredAgent,
    VersionNotStored,
)
from offhook.services.store.engine import away, open_engine, transaction
from offhook.services.store.reading import struct
from offhook.services.store.schema import migrate
from offhook.services.store.tables import agent_publications, agent_versions, agents


def open_stored_agents(place: str | Path) -> "StoredAgents":
    """Open the agents at a database URL or the path of an SQLite file. Raises ``RecordsAway``, ``SchemaTooNew``."""
    with away():
        engine = open_engine(place)
        migrate(engine)
    return StoredAgents(engine)


class StoredAgents:
    """Agents of workspaces. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # ── writing ────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, workspace: str, text: str, *, note: str = "") -> AgentText:
        """Keep a document as the first version of its agent; one that was deleted before goes on counting.

        Raises ``DocumentError`` with every mistake and its place, ``AgentTaken``.
        """
        document = read_document(text, file="document")
        now = time.time()
        mine = _mine(workspace, document.id)
        taken = AgentTaken(f"There is an agent {document.id!r} already; save a version of it, or write another id.")
        try:
            with away(), transaction(self._engine) as connection:
                row = connection.execute(select(agents).where(mine).with_for_update()).first()
                if row is not None and row.deleted_at is None:
                    raise taken
                if row is None:
                    values = {"workspace": workspace, "id": document.id, "name": document.name, "newest": 0,
                              "revision": 0, "created_at": now, "changed_at": now}  # fmt: skip
                    connection.execute(insert(agents), values)
                else:
                    connection.execute(update(agents).where(mine), {"deleted_at": None})
                return _append(connection, workspace, document, text, note, now)
        except IntegrityError:
            # Another process has just done so.
            raise taken from None

    def save(self, workspace: str, id_: str, text: str, *, note: str = "", base: int | None = None) -> AgentText:
        """Keep a document as the newest version of an agent; the text that is the newest already changes nothing.

        With ``base`` only if that is still the newest version. Raises ``DocumentError``, ``AgentNotStored``,
        ``AgentMoved``.
        """
        document = read_document(text, file="document")
        with away(), transaction(self._engine) as connection:
            stored = _lock(connection, workspace, id_)
            if document.id != id_:
                message = f"this is the document of `{document.id}`, not of `{id_}`"
                raise DocumentError("document", (Problem(1, "id", message),))
            newest = _version(connection, workspace, id_, stored.newest)
            if newest.hash == _hash(text):
                return newest
            if base is not None and base != newest.number:
                raise AgentMoved(newest.number)
            return _append(connection, workspace, document, text, note, time.time())

    def publish(
        self, workspace: str, id_: str, *, version: int | None = None, environment: Environment = "live"
    ) -> StoredAgent:
        """Have an environment serve a version, the newest if none is named.

        Raises ``AgentNotStored``, ``VersionNotStored``.
        """
        with away(), transaction(self._engine) as connection:
            stored = _lock(connection, workspace, id_)
            return _publish(connection, workspace, id_, stored.newest if version is None else version, environment)

    def roll_back(self, workspace: str, id_: str, *, environment: Environment = "live") -> StoredAgent:
        """Have an environment serve the version before: of those it has served, the highest below the present one.

        Raises ``AgentNotStored``, ``NothingBefore``.
        """
        with away(), transaction(self._engine) as connection:
            stored = _lock(connection, workspace, id_)
            present = stored.live if environment == "live" else stored.sandbox
            served = agent_publications.c
            before = connection.scalar(
                select(func.max(served.version)).where(
                    served.workspace == workspace,
                    served.agent == id_,
                    served.environment == environment,
                    served.version < (present or 0),
                )
            )
            if before is None:
                raise NothingBefore(f"The agent {id_!r} has no earlier version in {environment} to go back to.")
            return _publish(connection, workspace, id_, before, environment)

    def delete(self, workspace: str, id_: str) -> None:
        """Take an agent away: nobody can call it any more; its versions stay for the calls that have them.

        Raises ``AgentNotStored``.
        """
        with away(), transaction(self._engine) as connection:
            _lock(connection, workspace, id_)
            now = time.time()
            values = {"deleted_at": now, "changed_at": now, "live": None, "sandbox": None}
            connection.execute(update(agents).where(_mine(workspace, id_)).values(revision=_NEXT, **values))

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────

    def page(self, workspace: str, *, limit: int, after: tuple[float, str] | None = None) -> list[StoredAgent]:
        """Agents, those made last first, behind the one made at ``after`` (time, id)."""
        query = select(agents).where(agents.c.workspace == workspace, agents.c.deleted_at.is_(None))
        if after is not None:
            query = query.where(tuple_(agents.c.created_at, agents.c.id) < tuple_(*after))
        query = query.order_by(agents.c.created_at.desc(), agents.c.id.desc()).limit(limit)
        with away(), self._engine.connect() as connection:
            return [struct(row, StoredAgent) for row in connection.execute(query)]

    def get(self, workspace: str, id_: str) -> StoredAgent:
        """One agent. Raises ``AgentNotStored``."""
        with away(), self._engine.connect() as connection:
            return _get(connection, workspace, id_)

    def versions(self, workspace: str, id_: str, *, limit: int, before: int | None = None) -> list[AgentVersion]:
        """Versions of an agent, newest first, below the number ``before``. Raises ``AgentNotStored``."""
        columns = agent_versions.c
        shown = [column for column in columns if column.name != "text"]
        query = select(*shown).where(columns.workspace == workspace, columns.agent == id_)
        if before is not None:
            query = query.where(columns.number < before)
        with away(), self._engine.connect() as connection:
            _get(connection, workspace, id_)
            rows = connection.execute(query.order_by(columns.number.desc()).limit(limit))
            return [struct(row, AgentVersion) for row in rows]

    def version(self, workspace: str, id_: str, number: int) -> AgentText:
        """One version with its text. Raises ``AgentNotStored``, ``VersionNotStored``."""
        with away(), self._engine.connect() as connection:
            _get(connection, workspace, id_)
            return _version(connection, workspace, id_, number)

    def kept_version(self, workspace: str, id_: str, number: int) -> AgentText:
        """One version, also of an agent that was deleted: for a call that has it. Raises ``VersionNotStored``."""
        with away(), self._engine.connect() as connection:
            return _version(connection, workspace, id_, number)

    def publications(self, workspace: str, id_: str, *, limit: int = 50) -> list[Publication]:
        """What the environments have served, newest first. Raises ``AgentNotStored``."""
        columns = agent_publications.c
        query = select(agent_publications).where(columns.workspace == workspace, columns.agent == id_)
        with away(), self._engine.connect() as connection:
            _get(connection, workspace, id_)
            rows = connection.execute(query.order_by(columns.id.desc()).limit(limit))
            return [struct(row, Publication) for row in rows]

    def revisions(self, workspace: str) -> dict[str, int]:
        """How often each agent has changed, those that were deleted left out: what is told by a change."""
        query = select(agents.c.id, agents.c.revision).where(
            agents.c.workspace == workspace, agents.c.deleted_at.is_(None)
        )
        with away(), self._engine.connect() as connection:
            return {row.id: row.revision for row in connection.execute(query)}

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


_NEXT = agents.c.revision + 1


def _mine(workspace: str, id_: str) -> Any:
    return (agents.c.workspace == workspace) & (agents.c.id == id_)


def _version_of(workspace: str, id_: str) -> Any:
    return (agent_versions.c.workspace == workspace) & (agent_versions.c.agent == id_)


def _get(connection: Connection, workspace: str, id_: str, *, lock: bool = False) -> StoredAgent:
    query = select(agents).where(_mine(workspace, id_), agents.c.deleted_at.is_(None))
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise AgentNotStored("There is no agent with this id.")
    return struct(row, StoredAgent)


def _lock(connection: Connection, workspace: str, id_: str) -> StoredAgent:
    """The agent, which nobody else changes until the transaction is over."""
    return _get(connection, workspace, id_, lock=True)


def _version(connection: Connection, workspace: str, id_: str, number: int) -> AgentText:
    row = connection.execute(
        select(agent_versions).where(_version_of(workspace, id_), agent_versions.c.number == number)
    ).first()
    if row is None:
        raise VersionNotStored(f"The agent {id_!r} has no version {number}.")
    return struct(row, AgentText)


def _append(
    connection: Connection, workspace: str, document: AgentDocument, text: str, note: str, now: float
) -> AgentText:
    """A new version, and the oldest drafts beyond those that are kept go."""
    mine = _version_of(workspace, document.id)
    number = (connection.scalar(select(func.max(agent_versions.c.number)).where(mine)) or 0) + 1
    values = {"workspace": workspace, "agent": document.id, "number": number, "state": "draft", "hash": _hash(text),
              "note": note, "text": text, "created_at": now}  # fmt: skip
    connection.execute(insert(agent_versions), values)
    connection.execute(
        update(agents).where(_mine(workspace, document.id)).values(
            newest=number, name=document.name, changed_at=now, revision=_NEXT
        )
    )  # fmt: skip
    served = select(agent_publications.c.version).where(
        agent_publications.c.workspace == workspace, agent_publications.c.agent == document.id
    )
    old = (agent_versions.c.number <= number - KEPT_DRAFTS) & agent_versions.c.number.not_in(served)
    connection.execute(delete(agent_versions).where(mine, old))
    return _version(connection, workspace, document.id, number)


def _publish(connection: Connection, workspace: str, id_: str, number: int, environment: Environment) -> StoredAgent:
    version, now = _version(connection, workspace, id_, number), time.time()
    name: Any = {environment: number}
    connection.execute(update(agents).where(_mine(workspace, id_)).values(changed_at=now, revision=_NEXT, **name))
    values = {"workspace": workspace, "agent": id_, "environment": environment, "version": number, "at": now}
    connection.execute(insert(agent_publications), values)
    if environment == "live" and version.published_at is None:
        row = (agent_versions.c.number == number) & _version_of(workspace, id_)
        connection.execute(update(agent_versions).where(row).values(state="published", published_at=now))
    return _get(connection, workspace, id_)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
