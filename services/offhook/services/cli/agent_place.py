"""Where the ``agents`` commands work: on the data folder of this machine, or on a server over REST."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import msgspec
import rich_click as click

from offhook.protocol.agent.history import AgentText, AgentVersion, Environment, StoredAgent, diff_texts
from offhook.protocol.errors import OffhookError
from offhook.services.cli.options import Function, data_option, store_option

#: Seconds until a server has answered.
PATIENCE = 30.0


class Place(Protocol):
    """Agents with their versions. Every method raises ``OffhookError`` with a sentence."""

    def agents(self) -> list[StoredAgent]:
        """All agents, those made last first."""

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


def place_options(function: Function) -> Function:
    """``--server`` and ``--key``, or ``--data`` and ``--store``."""
    server = click.option(
        "--server", envvar="OFFHOOK_SERVER", show_envvar=True, metavar="URL",
        help="Work on this server, such as https://calls.example.org. Default: on the data folder.",
    )  # fmt: skip
    key = click.option(
        "--key", envvar="OFFHOOK_KEY", show_envvar=True, metavar="sk_...", help="Secret key for --server."
    )
    return server(key(data_option(store_option(function))))


@contextmanager
def open_place(server: str | None, key: str | None, data: Path, store: str | None) -> Iterator[Place]:
    """The agents that the options name. Raises a usage error where they do not fit together."""
    if server is None:
        from offhook.services.store import open_stored_agents, store_file
        from offhook.services.tokens import open_workspace

        workspace = open_workspace(data).id
        kept = open_stored_agents(store or store_file(data))
        try:
            yield _Local(kept, workspace)
        finally:
            kept.close()
        return
    if not key:
        raise click.UsageError("--server needs a secret key: --key sk_... or the variable OFFHOOK_KEY.")
    if urlsplit(server).scheme not in {"http", "https"} or not urlsplit(server).hostname:
        raise click.UsageError(f"--server {server!r} is no address, such as https://calls.example.org.")
    import httpx2

    with httpx2.Client(
        base_url=server.rstrip("/"), headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
    ) as client:
        yield _Remote(client.request)


class _Local:
    def __init__(self, kept: Any, workspace: str) -> None:
        self._kept = kept
        self._workspace = workspace

    def agents(self) -> list[StoredAgent]:
        found: list[StoredAgent] = self._kept.page(self._workspace, limit=10_000)
        return found

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
    def __init__(self, request: Callable[..., Any]) -> None:
        self._request = request

    def agents(self) -> list[StoredAgent]:
        found: list[StoredAgent] = []
        query: dict[str, Any] = {"limit": 200}
        while True:
            page = self._ask("GET", "", params=query)
            found += msgspec.convert(page["agents"], list[StoredAgent])
            if page["cursor"] is None:
                return found
            query["cursor"] = page["cursor"]

    def push(self, id_: str, text: str, note: str) -> AgentText:
        body = {"text": text, "note": note}
        known = {agent.id for agent in self.agents()}
        made = self._ask("PUT", f"/{quote(id_)}", json=body) if id_ in known else self._ask("POST", "", json=body)
        return msgspec.convert(made, AgentText)

    def pull(self, id_: str) -> str:
        return str(self._ask("GET", f"/{quote(id_, safe='')}")["text"])

    def versions(self, id_: str) -> list[AgentVersion]:
        page = self._ask("GET", f"/{quote(id_, safe='')}/versions", params={"limit": 200})
        return msgspec.convert(page["versions"], list[AgentVersion])

    def publish(self, id_: str, version: int | None, environment: Environment) -> StoredAgent:
        body = {"environment": environment} | ({} if version is None else {"version": version})
        return msgspec.convert(self._ask("POST", f"/{quote(id_, safe='')}/publish", json=body), StoredAgent)

    def roll_back(self, id_: str, environment: Environment) -> StoredAgent:
        body = {"environment": environment}
        return msgspec.convert(self._ask("POST", f"/{quote(id_, safe='')}/rollback", json=body), StoredAgent)

    def diff(self, id_: str, before: int | None, after: int | None) -> str:
        query = {name: value for name, value in (("before", before), ("after", after)) if value is not None}
        return str(self._ask("GET", f"/{quote(id_, safe='')}/diff", params=query)["diff"])

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        import httpx2

        try:
            answer = self._request(method, f"/v1/agents{path}", **more)
            found = answer.json()
        except httpx2.HTTPError as error:
            raise OffhookError(f"The server cannot be reached: {error}.") from None
        except ValueError:
            raise OffhookError("The server's answer is not one of offhook; look at --server.") from None
        if answer.is_success:
            return found
        raise OffhookError(str(found.get("detail", answer.status_code)) if isinstance(found, dict) else "refused")
