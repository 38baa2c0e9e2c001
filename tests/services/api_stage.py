"""The API on loopback, for its tests."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import anyio
import httpx2

from offhook.actors.operator import Order
from offhook.actors.ports import AgentNotFound, Profile, Stored
from offhook.protocol.call import CallState
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.keys import Key, KeyKind, KeyNotFound, MadeKey, NewKey
from offhook.protocol.speech import Voice
from offhook.services.api import Parts, serve_api
from offhook.services.recordings import RecordingFiles
from offhook.services.store import Keys, Replies, StoredAgents, Widgets
from offhook.services.tokens import RecordingTokens, Workspace
from offhook.services.webhooks import check_webhook_url

KEY = {"Authorization": "Bearer sk_main"}


class FixedKeys:
    """The secret keys ``sk_main`` and ``sk_other`` of two workspaces, and no others."""

    def find(self, text: str) -> Key | None:
        """See ``KeyRing``."""
        workspace = {"sk_main": "main", "sk_other": "other"}.get(text)
        if workspace is None:
            return None
        return Key(
            id=text, workspace=workspace, kind="secret", mode="live", name=text, hint="", scopes=("*",),
            created_at=time.time(),
        )  # fmt: skip

    def create(self, workspace: str, wanted: NewKey) -> MadeKey:
        """See ``KeyRing``."""
        raise NotImplementedError

    def page(
        self, workspace: str, *, kind: KeyKind | None = None, limit: int, after: tuple[float, str] | None = None
    ) -> list[Key]:
        """See ``KeyRing``."""
        return []

    def get(self, workspace: str, id_: str) -> Key:
        """See ``KeyRing``."""
        raise KeyNotFound

    def rotate(self, workspace: str, id_: str, *, overlap: float) -> MadeKey:
        """See ``KeyRing``."""
        raise KeyNotFound

    def revoke(self, workspace: str, id_: str) -> Key:
        """See ``KeyRing``."""
        raise KeyNotFound

    def spend(self, key: Key) -> float:
        """See ``KeyRing``."""
        return 0.0


class Tokens:
    """Call tokens that say what they were made for; the agents are ``a`` and ``b``."""

    async def mint(
        self, agent: str, *, origin: str | None, ttl: float, version: str | None = None, drafts: bool = False
    ) -> tuple[str, Profile]:
        """See ``CallTokens``."""
        which = "" if version is None else f", version {version}{' or any' if drafts else ''}"
        return f"token for {agent} at {origin}{which}", _profile(agent)


class Invited:
    """Sessions that were opened, and calls that are counted, without a bus."""

    def __init__(self) -> None:
        self.invitations: list[dict[str, Any]] = []
        self.limits: dict[str, int | None] = {}
        self.living = 0

    async def invite(
        self,
        workspace: str,
        agent: str,
        *,
        variables: dict[str, str],
        metadata: dict[str, str],
        origin: str | None,
        ttl: float,
        version: str | None = None,
        variant: str | None = None,
    ) -> tuple[str, str]:
        """See ``Sessions``."""
        _profile(agent)
        if self.limits.get(workspace) == 0:
            raise Refusal(Reason.AT_CAPACITY, "All lines are busy.")
        self.invitations.append(
            {"workspace": workspace, "agent": agent, "variables": variables, "metadata": metadata, "origin": origin}
        )
        return f"session-{len(self.invitations)}", "token"

    async def active(self, workspace: str) -> int:
        """See ``Lines``."""
        return self.living

    async def limit(self, workspace: str) -> int | None:
        """See ``Lines``."""
        return self.limits.get(workspace)

    async def set_limit(self, workspace: str, limit: int | None) -> None:
        """See ``Lines``."""
        self.limits[workspace] = limit


def _profile(agent: str) -> Profile:
    if agent not in {"a", "b"}:
        raise AgentNotFound("There is no such agent.")
    return Profile(agent=agent, version="1", name=agent.upper(), voice=Voice())


class NoCodes:
    """Links to the console, of which none counts."""

    async def redeem(self, code: str) -> str:
        """See ``ConsoleCodes``."""
        raise Refusal(Reason.TOKEN_INVALID, "No link counts here.")


def no_answers() -> Replies:
    """For servers that no request with an ``Idempotency-Key`` reaches."""
    raise NotImplementedError


def no_agents() -> StoredAgents:
    """For servers that nobody asks for agents."""
    raise NotImplementedError


def no_workspace() -> Workspace:
    """For servers that nobody asks for links."""
    raise NotImplementedError


def no_widgets() -> Widgets:
    """For servers that nobody asks for widgets."""
    raise NotImplementedError


async def no_log(subject: str) -> list[Stored]:
    """Logs that are gone."""
    return []


async def no_orders(call: str, order: Order, source: str) -> CallState:
    """For servers that give no orders."""
    raise NotImplementedError


async def nothing_changed() -> None:
    """Nobody serves what is stored."""


def parts_for(store: Any, web: Path, **more: Any) -> Parts:
    """What a server needs."""
    invited = Invited()
    given: dict[str, Any] = {
        "read_log": no_log,
        "give_order": no_orders,
        "trusted_proxies": (ip_network("127.0.0.0/8"),),
        "keys": FixedKeys,
        "answers": no_answers,
        "agents": no_agents,
        "widgets": no_widgets,
        "agents_changed": nothing_changed,
        "agent_from_folder": lambda agent: False,
        "agent_files": lambda workspace: (),
        "tokens": Tokens(),
        "sessions": invited,
        "lines": invited,
        "codes": NoCodes(),
        "sounds": RecordingFiles(web / "none"),
        "recording_tokens": RecordingTokens(no_workspace),
        "webhooks": lambda: store.webhooks(),
        "check_webhook_url": partial(check_webhook_url, allowed=()),
    }
    return Parts(store=store, web_folder=web, **(given | more))


@asynccontextmanager
async def serving_api(
    store: Any, web: Path, *, keys: Keys | None = None, replies: Replies | None = None, **more: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server of its own."""
    if keys is not None:
        more["keys"] = lambda: keys
    if replies is not None:
        more["answers"] = lambda: replies
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(partial(serve_api, "127.0.0.1", 0, parts_for(store, web, **more)))
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
        tasks.cancel_scope.cancel()
