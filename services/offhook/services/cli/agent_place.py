"""Where the ``agents`` commands work: on the data folder of this machine, or on a server over REST."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from offhook.protocol.agent.history import AgentText, AgentVersion, Environment, FileAgent, StoredAgent, diff_texts
from offhook.services.cli.server import Server, one, open_server
from offhook.services.cli.workspace import workspace_of

_AGENTS = "/v1/agents"


class Place(Protocol):
    """Agents with their versions. Every method raises ``OffhookError`` with a sentence."""

    def agents(self) -> list[StoredAgent]:
        """All agents, those made last first."""

    def files(self) -> list[FileAgent]:
        """Those that files on a server serve; of a data folder it is not known which folder that is."""

    def push(self, id_: str, text: str, note: str) -> AgentText:
        """Save a document as the newest version of its agent, which is made if needed."""

    def pull(self, id_: str) -> str:
        """The document of the newest version."""

    def versions(self, id_: str) -> list[AgentVersion]:
        """The newest versions, newest first."""

    def publish(self, id_: str, version: int | None, environment: Environment) -> StoredAgent:
        """Have an environment serve a version."""

    def roll_back(self, id_: str, environment: Environment) -> StoredAgent:
        """Have it serve the version before."""

    def diff(self, id_: str, before: int | None, after: int | None) -> str:
        """How two versions differ."""


@contextmanager
def open_place(server: str | None, key: str | None, data: Path, store: str | None) -> Iterator[Place]:
    """The agents that the options name. Raises a usage error where they do not fit together."""
    if server is None:
        from offhook.services.store import open_stored_agents, store_file

        workspace = workspace_of(data).id
        kept = open_stored_agents(store or store_file(data))
        try:
            yield _Local(kept, workspace)
        finally:
            kept.close()
        return
    with open_server(server, key) as opened:
        yield _Remote(opened)


class _Local:
    def __init__(self, kept: Any, workspace: str) -> None:
        self._kept = kept
        self._workspace = workspace

    def agents(self) -> list[StoredAgent]:
        found: list[StoredAgent] = self._kept.page(self._workspace, limit=10_000)
        return found

    def files(self) -> list[FileAgent]:
        return []

    def push(self, id_: str, text: str, note: str) -> AgentText:
        known = {agent.id for agent in self.agents()}
        made: AgentText
        if id_ in known:
            made = self._kept.save(self._workspace, id_, text, note=note)
        else:
            made = self._kept.create(self._workspace, text, note=note)
        return made

    def pull(self, id_: str) -> str:
        newest = self._kept.get(self._workspace, id_).newest
        return str(self._kept.version(self._workspace, id_, newest).text)

    def versions(self, id_: str) -> list[AgentVersion]:
        found: list[AgentVersion] = self._kept.versions(self._workspace, id_, limit=200)
        return found

    def publish(self, id_: str, version: int | None, environment: Environment) -> StoredAgent:
        agent: StoredAgent = self._kept.publish(self._workspace, id_, version=version, environment=environment)
        return agent

    def roll_back(self, id_: str, environment: Environment) -> StoredAgent:
        agent: StoredAgent = self._kept.roll_back(self._workspace, id_, environment=environment)
        return agent

    def diff(self, id_: str, before: int | None, after: int | None) -> str:
        agent = self._kept.get(self._workspace, id_)
        numbers = (before or agent.live or after or agent.newest, after or agent.newest)
        old, new = (self._kept.version(self._workspace, id_, number).text for number in numbers)
        return diff_texts(old, new, names=(f"{id_} {numbers[0]}", f"{id_} {numbers[1]}"))


class _Remote:
    def __init__(self, server: Server) -> None:
        self._server = server

    def agents(self) -> list[StoredAgent]:
        return msgspec.convert(self._server.every(_AGENTS, "agents"), list[StoredAgent])

    def files(self) -> list[FileAgent]:
        return msgspec.convert(self._server.ask("GET", _AGENTS, params={"limit": 1})["files"], list[FileAgent])

    def push(self, id_: str, text: str, note: str) -> AgentText:
        body = {"text": text, "note": note}
        known = {agent.id for agent in self.agents()}
        method, path = ("PUT", one(_AGENTS, id_)) if id_ in known else ("POST", _AGENTS)
        return msgspec.convert(self._server.ask(method, path, json=body), AgentText)

    def pull(self, id_: str) -> str:
        return str(self._server.ask("GET", one(_AGENTS, id_))["text"])

    def versions(self, id_: str) -> list[AgentVersion]:
        page = self._server.ask("GET", f"{one(_AGENTS, id_)}/versions", params={"limit": 200})
        return msgspec.convert(page["versions"], list[AgentVersion])

    def publish(self, id_: str, version: int | None, environment: Environment) -> StoredAgent:
        body = {"environment": environment} | ({} if version is None else {"version": version})
        return msgspec.convert(self._server.ask("POST", f"{one(_AGENTS, id_)}/publish", json=body), StoredAgent)

    def roll_back(self, id_: str, environment: Environment) -> StoredAgent:
        body = {"environment": environment}
        return msgspec.convert(self._server.ask("POST", f"{one(_AGENTS, id_)}/rollback", json=body), StoredAgent)

    def diff(self, id_: str, before: int | None, after: int | None) -> str:
        query = {name: value for name, value in (("before", before), ("after", after)) if value is not None}
        return str(self._server.ask("GET", f"{one(_AGENTS, id_)}/diff", params=query)["diff"])
