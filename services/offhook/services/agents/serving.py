"""The agents of a running node: documents of a folder and those of the store, as they are now.

Each second both are looked at, in a worker thread. A folder with a mistake in it keeps serving what it served. For an
agent that is in both, the folder counts; the demo in the box gives way to either.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
import msgspec

from offhook.actors.document_agents import DocumentAgents, read_document
from offhook.actors.ports import AgentNotFound, Clock
from offhook.protocol.agent import AgentDocument, DocumentError
from offhook.protocol.agent.analysis import AnalysisWanted
from offhook.protocol.agent.history import AgentNotStored, AgentText, FileAgent, StoredAgent, VersionNotStored
from offhook.protocol.errors import OffhookError
from offhook.protocol.record import RecordsAway
from offhook.services.agents.folder import folder_state, read_demo, read_folder

log = logging.getLogger("offhook.agents")

#: Seconds between two looks.
LOOK = 1.0
#: Names for the newest version, and for that of the sandbox.
DRAFT = "draft"
SANDBOX = "sandbox"


class StoredVersions(Protocol):
    """Where agents are kept. Synchronous; all raise ``RecordsAway``."""

    def revisions(self, workspace: str) -> dict[str, int]:
        """How often each agent has changed."""

    def get(self, workspace: str, id_: str) -> StoredAgent:
        """One agent. Raises ``AgentNotStored``."""

    def kept_version(self, workspace: str, id_: str, number: int) -> AgentText:
        """One version, also of an agent that was deleted. Raises ``VersionNotStored``."""


class _Stored(msgspec.Struct, frozen=True):
    """A stored agent as it is served."""

    revision: int
    live: AgentDocument | None
    #: By name, and whether it was never published.
    others: dict[str, tuple[AgentDocument, bool]]


class _Seen(msgspec.Struct, frozen=True):
    """What one look has found; None: as it was."""

    files: list[AgentDocument] | None = None
    stored: dict[str, _Stored] | None = None


class ServedAgents(DocumentAgents):
    """The ``Agents`` port of a node."""

    def __init__(
        self,
        folder: Path,
        store: Callable[[], StoredVersions] | None,
        workspace: Callable[[], str],
        *,
        clock: Clock,
        for_new_calls: bool,
    ) -> None:
        """Reads the folder at once, the store at the first look; ``store`` and ``workspace`` are called in a thread.

        ``for_new_calls``: an agent that was deleted is not at hand any more. Raises as ``open_agents``.
        """
        super().__init__(clock)
        self._folder, self._store, self._workspace = folder, store, workspace
        self._for_new_calls = for_new_calls
        self._demo = read_demo()
        self._state = folder_state(folder)
        self._files = {document.id: document for document in read_folder(folder)}
        self._stored: dict[str, _Stored] = {}
        #: Agents of the store that this offhook cannot read, and in which revision.
        self._unreadable: dict[str, int] = {}
        self._away = self._looked = False
        self._one_at_a_time = anyio.Lock()
        self._settle(set())

    async def run(self) -> None:
        """Look each second; until cancelled. The first look can wait: the database's library takes long to import."""
        while True:
            await anyio.sleep(LOOK)
            await self.refresh()

    async def refresh(self) -> None:
        """Look now."""
        async with self._one_at_a_time:
            seen = await anyio.to_thread.run_sync(self._look, abandon_on_cancel=True)
            self._looked = True
            before = self._files.keys() | self._stored.keys()
            if seen.files is not None:
                self._files = {document.id: document for document in seen.files}
            if seen.stored is not None:
                self._stored = seen.stored
            if seen.files is not None or seen.stored is not None:
                self._settle(before - self._files.keys() - self._stored.keys())

    async def reach(self, agent: str, version: str | None = None) -> None:
        """See ``Agents``."""
        if self._looked and self._has(agent, version):
            return
        await self.refresh()
        if self._has(agent, version) or self._store is None or version is None:
            return
        if self._for_new_calls and agent not in self._stored:
            return
        if version.isascii() and version.isdigit() and len(version) < 9:
            async with self._one_at_a_time:
                found = await anyio.to_thread.run_sync(
                    partial(self._fetch, agent, int(version)), abandon_on_cancel=True
                )
            if found is not None:
                self.keep(found[0], name=found[0].version, draft=found[1])

    async def analysis_of(self, agent: str, version: str) -> AnalysisWanted | None:
        """What a call that had this version is to be looked over for, also when that is long out of use."""
        await self.reach(agent, version)
        return self.analysis(agent, version)

    def document(self, agent: str, version: str | None = None) -> AgentDocument:
        """See ``DocumentAgents``. The newest version and that of the sandbox have names; a file is all of them."""
        stored = None if agent in self._files else self._stored.get(agent)
        if stored is not None and version in stored.others:
            return stored.others[version][0]
        if stored is not None and version is None and agent not in self.ids():
            raise AgentNotFound(f"the agent {agent!r} is not published")
        try:
            return super().document(agent, None if version in {DRAFT, SANDBOX} else version)
        except AgentNotFound:
            if stored is None:
                raise
            raise AgentNotFound(f"the agent {agent!r} has no version {version!r}") from None

    def is_draft(self, agent: str, label: str) -> bool:
        """See ``DocumentAgents``."""
        stored = self._stored.get(agent)
        if stored is not None and agent not in self._files and label in stored.others:
            return stored.others[label][1]
        return super().is_draft(agent, label)

    def from_folder(self, agent: str) -> bool:
        """Whether the folder has a document of this agent, which serves whatever is published in the store."""
        return agent in self._files

    def files(self, workspace: str) -> tuple[FileAgent, ...]:
        """The agents that are served from files, the demo in the box among them; another workspace has none."""
        if workspace != self._workspace():
            return ()
        stored = {agent for agent, found in self._stored.items() if found.live is not None}
        found = {self._demo.id: self._demo} if self._demo.id not in stored else {}
        found |= self._files
        return tuple(
            FileAgent(id=id_, name=document.name, version=document.version) for id_, document in sorted(found.items())
        )

    def _has(self, agent: str, version: str | None) -> bool:
        try:
            self.document(agent, version)
        except AgentNotFound:
            return False
        return True

    def _settle(self, gone: set[str]) -> None:
        """Serve what was found."""
        for agent in gone:
            if self._for_new_calls:
                self.forget(agent)
            else:
                self.withdraw(agent)
        wanted = {self._demo.id: self._demo}
        for agent, stored in self._stored.items():
            if stored.live is not None:
                wanted[agent] = stored.live
        wanted |= self._files
        for agent in set(self.ids()) - wanted.keys():
            self.withdraw(agent)
        for document in wanted.values():
            self.serve(document)

    # ── in a worker thread ─────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> _Seen:
        return _Seen(self._look_at_folder(), self._look_at_store())

    def _look_at_folder(self) -> list[AgentDocument] | None:
        try:
            state = folder_state(self._folder)
            if state == self._state:
                return None
            self._state = state
            files = read_folder(self._folder)
        except DocumentError as error:
            log.warning("agents stay as they were, a document has mistakes", extra={"why": str(error)})
            return None
        except OSError as error:
            log.warning("agents stay as they were, the folder cannot be read", extra={"why": str(error)})
            return None
        log.info("agents were read again", extra={"folder": str(self._folder)})
        return files

    def _look_at_store(self) -> dict[str, _Stored] | None:
        if self._store is None:
            return None
        try:
            store, workspace = self._store(), self._workspace()
            revisions = store.revisions(workspace)
            if revisions == {agent: stored.revision for agent, stored in self._stored.items()} | self._unreadable:
                self._away = False
                return None
            found = {}
            self._unreadable = {agent: at for agent, at in self._unreadable.items() if revisions.get(agent) == at}
            for agent, revision in revisions.items():
                known = self._stored.get(agent)
                if agent in self._unreadable or (known is not None and known.revision == revision):
                    if known is not None:
                        found[agent] = known
                elif (read := self._read_stored(store, workspace, agent, revision)) is not None:
                    found[agent] = read
        except RecordsAway as error:
            self._tell_away(error)
            return None
        self._away = False
        return found

    def _tell_away(self, error: OffhookError) -> None:
        if not self._away:
            log.warning("agents stay as they were, the store does not answer", extra={"why": str(error)})
        self._away = True

    def _read_stored(self, store: StoredVersions, workspace: str, agent: str, revision: int) -> _Stored | None:
        try:
            stored = store.get(workspace, agent)
            versions = {
                number: _labelled(store.kept_version(workspace, agent, number))
                for number in {stored.newest, stored.live, stored.sandbox}
                if number is not None
            }
        except (AgentNotStored, VersionNotStored):
            # Deleted since; the next look sees it.
            return None
        except DocumentError as error:
            # It was without mistakes when it was saved, so this offhook is older or newer than the one that took it.
            log.warning("stored agent cannot be read by this version of offhook", extra={"why": str(error)})
            self._unreadable[agent] = revision
            return self._stored.get(agent)
        others = {str(number): document for number, document in versions.items() if number != stored.live}
        others[DRAFT] = versions[stored.newest]
        served = stored.sandbox if stored.sandbox is not None else stored.live
        if served is not None:
            others[SANDBOX] = versions[served]
        live = None if stored.live is None else versions[stored.live][0]
        return _Stored(revision, live, others)

    def _fetch(self, agent: str, number: int) -> tuple[AgentDocument, bool] | None:
        assert self._store is not None
        try:
            return _labelled(self._store().kept_version(self._workspace(), agent, number))
        except VersionNotStored:
            return None
        except (DocumentError, RecordsAway) as error:
            log.warning("a version of an agent could not be read", extra={"why": str(error)})
            return None


def _labelled(version: AgentText) -> tuple[AgentDocument, bool]:
    """The document of a version, named by its number, and whether it was never published."""
    document = read_document(version.text, file=f"{version.agent} {version.number}")
    return msgspec.structs.replace(document, version=str(version.number)), version.state == "draft"
