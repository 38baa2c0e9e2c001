"""``/v1/agents``: agents kept with their versions; publish, roll back, compare (A1, G8)."""

import base64
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Protocol, TypeVar

import msgspec

from offhook.protocol.agent.history import (
    MAX_DOCUMENT,
    MAX_NOTE,
    AgentText,
    AgentVersion,
    Environment,
    FileAgent,
    Publication,
    StoredAgent,
    diff_texts,
)
from offhook.protocol.record import BadCursor
from offhook.services.api.access import Threads
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Nothing, Route

Made = TypeVar("Made")

#: Most agents, and most versions, on one page.
MAX_PAGE = 200
#: No number is higher: the database holds no more.
MAX_VERSION = 2**31 - 1

Document = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_DOCUMENT)]
Note = Annotated[str, msgspec.Meta(max_length=MAX_NOTE)]
Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]


class AgentStore(Protocol):
    """Where agents are kept. Synchronous; used from several worker threads. All raise ``RecordsAway``."""

    def create(self, workspace: str, text: str, *, note: str = "") -> AgentText:
        """Raises ``DocumentError``, ``AgentTaken``."""

    def save(self, workspace: str, id_: str, text: str, *, note: str = "", base: int | None = None) -> AgentText:
        """Raises ``DocumentError``, ``AgentNotStored``, ``AgentMoved``."""

    def publish(
        self, workspace: str, id_: str, *, version: int | None = None, environment: Environment = "live"
    ) -> StoredAgent:
        """Raises ``AgentNotStored``, ``VersionNotStored``."""

    def roll_back(self, workspace: str, id_: str, *, environment: Environment = "live") -> StoredAgent:
        """Raises ``AgentNotStored``, ``NothingBefore``."""

    def delete(self, workspace: str, id_: str) -> None:
        """Raises ``AgentNotStored``."""

    def page(self, workspace: str, *, limit: int, after: tuple[float, str] | None = None) -> list[StoredAgent]:
        """Those made last first, behind the one made at ``after``."""

    def get(self, workspace: str, id_: str) -> StoredAgent:
        """Raises ``AgentNotStored``."""

    def versions(self, workspace: str, id_: str, *, limit: int, before: int | None = None) -> list[AgentVersion]:
        """Newest first. Raises ``AgentNotStored``."""

    def version(self, workspace: str, id_: str, number: int) -> AgentText:
        """Raises ``AgentNotStored``, ``VersionNotStored``."""

    def publications(self, workspace: str, id_: str, *, limit: int = 50) -> list[Publication]:
        """Newest first. Raises ``AgentNotStored``."""


class AgentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which agents to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    #: Where the page before ended.
    cursor: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class AgentPage(msgspec.Struct, frozen=True):
    """Some agents, those made last first, and the cursor to go on with (null: these were the last)."""

    agents: tuple[StoredAgent, ...]
    cursor: str | None
    #: On the first page: agents that files on the server serve, whatever is kept of them. They are changed there.
    files: tuple[FileAgent, ...] = ()


class AgentShownWhole(StoredAgent, frozen=True, kw_only=True):
    """An agent with the document of its newest version, and what its environments have served, newest first."""

    text: str
    publications: tuple[Publication, ...]


class AgentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new agent."""

    #: Its document, TOML (docs/agents.md); the agent's id stands in it.
    text: Document
    note: Note = ""


class SaveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new version."""

    text: Document
    note: Note = ""
    #: The version that was changed: refused when somebody else has saved one since.
    base: Number | None = None


class PublishRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to serve."""

    #: Left out: the newest version.
    version: Number | None = None
    environment: Environment = "live"


class RollBackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to go back."""

    environment: Environment = "live"


class VersionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which versions to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    #: Where the page before ended.
    cursor: Number | None = None


class VersionPage(msgspec.Struct, frozen=True):
    """Some versions, newest first, and the cursor to go on with (null: these were the last)."""

    versions: tuple[AgentVersion, ...]
    cursor: int | None


class DiffQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which versions to compare."""

    #: Left out: the version that serves ``live``.
    before: Number | None = None
    #: Left out: the newest version.
    after: Number | None = None


class AgentDiff(msgspec.Struct, frozen=True):
    """How one version differs from another."""

    before: int
    after: int
    #: A unified diff of the documents; empty: they are the same.
    diff: str


class AgentsResource:
    """The agents of the workspace."""

    def __init__(
        self,
        store: Callable[[], AgentStore],
        in_thread: Threads,
        *,
        changed: Callable[[], Awaitable[None]],
        from_folder: Callable[[str], bool],
        files: Callable[[str], tuple[FileAgent, ...]],
    ) -> None:
        """``changed`` is awaited after a change that callers can see; ``from_folder`` tells whether a file serves one.

        ``files`` gives all agents of a workspace that files serve.
        """
        self._store = store
        self._in_thread = in_thread
        self._changed = changed
        self._from_folder = from_folder
        self._files = files

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        one = "/v1/agents/{agent_id}"
        return [
            Route(
                method="GET", path="/v1/agents", handle=self.list, summary="List agents",
                scope="agents:read", query=AgentQuery, gives=AgentPage,
            ),
            Route(
                method="POST", path="/v1/agents", handle=self.create, summary="Make an agent",
                scope="agents:write", body=AgentRequest, gives=AgentText, status=201,
            ),
            Route(
                method="GET", path=one, handle=self.show, summary="Read an agent",
                scope="agents:read", gives=AgentShownWhole,
            ),
            Route(
                method="PUT", path=one, handle=self.save, summary="Save a version of an agent",
                scope="agents:write", body=SaveRequest, gives=AgentText,
            ),
            Route(
                method="DELETE", path=one, handle=self.delete, summary="Delete an agent",
                scope="agents:write", status=204,
            ),
            Route(
                method="GET", path=f"{one}/versions", handle=self.versions, summary="List versions of an agent",
                scope="agents:read", query=VersionQuery, gives=VersionPage,
            ),
            Route(
                method="GET", path=f"{one}/versions/{{number}}", handle=self.version, summary="Read a version",
                scope="agents:read", gives=AgentText,
            ),
            Route(
                method="POST", path=f"{one}/publish", handle=self.publish, summary="Publish a version",
                scope="agents:write", body=PublishRequest, gives=StoredAgent,
            ),
            Route(
                method="POST", path=f"{one}/rollback", handle=self.roll_back, summary="Go back to the version before",
                scope="agents:write", body=RollBackRequest, gives=StoredAgent,
            ),
            Route(
                method="GET", path=f"{one}/diff", handle=self.diff, summary="Compare two versions",
                scope="agents:read", query=DiffQuery, gives=AgentDiff,
            ),
        ]  # fmt: skip

    async def list(self, ask: Ask[AgentQuery, Nothing]) -> AgentPage:
        """Agents that are kept here and, apart from them, those that files on the server serve (``--agents``)."""
        query = ask.query
        files = self._files(ask.workspace) if query.cursor is None else ()
        after = None if query.cursor is None else read_cursor(query.cursor)
        found = await self._in_thread(partial(self._store().page, ask.workspace, limit=query.limit + 1, after=after))
        page = tuple(found[: query.limit])
        more = len(found) > query.limit
        return AgentPage(page, encode_cursor(page[-1].created_at, page[-1].id) if more else None, files)

    async def create(self, ask: Ask[Nothing, AgentRequest]) -> AgentText:
        """An agent in its first version, a draft: nobody can call it until it is published, but previews."""
        body = ask.body
        made = await self._write(partial(self._store().create, ask.workspace, body.text, note=body.note))
        await self._changed()
        return made

    async def show(self, ask: Ask[Nothing, Nothing]) -> AgentShownWhole:
        """One agent with the document of its newest version."""

        def read() -> AgentShownWhole:
            store, id_ = self._store(), ask.path["agent_id"]
            agent = store.get(ask.workspace, id_)
            newest = store.version(ask.workspace, id_, agent.newest)
            history = tuple(store.publications(ask.workspace, id_))
            return AgentShownWhole(**msgspec.structs.asdict(agent), text=newest.text, publications=history)

        return await self._in_thread(read)

    async def save(self, ask: Ask[Nothing, SaveRequest]) -> AgentText:
        """A new version, a draft; what serves goes on. The text that is the newest already makes no version."""
        body = ask.body
        save = partial(
            self._store().save, ask.workspace, ask.path["agent_id"], body.text, note=body.note, base=body.base
        )
        made = await self._write(save)
        await self._changed()
        return made

    async def delete(self, ask: Ask[Nothing, Nothing]) -> None:
        """Nobody can call the agent any more. Calls that run go on, and its versions are kept for them."""
        await self._write(partial(self._store().delete, ask.workspace, ask.path["agent_id"]))
        await self._changed()

    async def versions(self, ask: Ask[VersionQuery, Nothing]) -> VersionPage:
        """Versions, newest first, without their documents."""
        query = ask.query
        read = partial(
            self._store().versions, ask.workspace, ask.path["agent_id"], limit=query.limit + 1, before=query.cursor
        )
        found = await self._in_thread(read)
        page = tuple(found[: query.limit])
        return VersionPage(page, page[-1].number if len(found) > query.limit else None)

    async def version(self, ask: Ask[Nothing, Nothing]) -> AgentText:
        """One version with its document."""
        number = _number(ask.path["number"])
        return await self._in_thread(partial(self._store().version, ask.workspace, ask.path["agent_id"], number))

    async def publish(self, ask: Ask[Nothing, PublishRequest]) -> StoredAgent:
        """From now on (within two seconds on every node) new calls get this version; calls that run keep theirs."""
        id_, body = ask.path["agent_id"], ask.body
        publish = partial(self._store().publish, ask.workspace, id_, version=body.version, environment=body.environment)
        self._refuse_file(await self._in_thread(partial(self._store().get, ask.workspace, id_)))
        agent = await self._write(publish)
        await self._changed()
        return agent

    async def roll_back(self, ask: Ask[Nothing, RollBackRequest]) -> StoredAgent:
        """New calls get the version before: of those the environment has served, the highest below the present one."""
        roll_back = partial(
            self._store().roll_back, ask.workspace, ask.path["agent_id"], environment=ask.body.environment
        )
        self._refuse_file(await self._in_thread(partial(self._store().get, ask.workspace, ask.path["agent_id"])))
        agent = await self._write(roll_back)
        await self._changed()
        return agent

    async def diff(self, ask: Ask[DiffQuery, Nothing]) -> AgentDiff:
        """How a version differs from another; what would change if the newest were published."""

        def read() -> AgentDiff:
            store, id_ = self._store(), ask.path["agent_id"]
            agent = store.get(ask.workspace, id_)
            after = agent.newest if ask.query.after is None else ask.query.after
            before = ask.query.before or agent.live or after
            texts = [store.version(ask.workspace, id_, number).text for number in (before, after)]
            names = f"{id_} {before}", f"{id_} {after}"
            return AgentDiff(before, after, diff_texts(texts[0], texts[1], names=names))

        return await self._in_thread(read)

    async def _write(self, work: Callable[[], Made]) -> Made:
        return await self._in_thread(work, abandon=False)

    def _refuse_file(self, agent: StoredAgent) -> None:
        if self._from_folder(agent.id):
            raise Problem(
                409,
                "agent_from_file",
                "A file in the server's folder of agents serves this agent; take it out of the folder to publish here.",
            )


def _number(text: str) -> int:
    """A version's number; what is none is the number of no version."""
    plain = text.isascii() and text.isdigit() and len(text) < 10
    number = int(text) if plain else 0
    return number if number <= MAX_VERSION else 0


def encode_cursor(created_at: float, id_: str) -> str:
    """Where a page that ends with this one ends."""
    return base64.urlsafe_b64encode(msgspec.json.encode((created_at, id_))).rstrip(b"=").decode()


def read_cursor(cursor: str) -> tuple[float, str]:
    """What ``encode_cursor`` has made. Raises ``BadCursor``."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[float, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the newest.") from error
