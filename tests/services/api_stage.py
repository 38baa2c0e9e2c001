"""The API on loopback, for its tests."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2

from offhook.actors.ports import AgentNotFound
from offhook.protocol.keys import Key, KeyKind, KeyNotFound, MadeKey, NewKey
from offhook.services.api import AgentShown, serve_api
from offhook.services.store import Keys, Replies

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

    def mint(self, agent: str, *, origin: str | None, ttl: float) -> tuple[str, AgentShown]:
        """See ``CallTokens``."""
        if agent not in {"a", "b"}:
            raise AgentNotFound("There is no such agent.")
        return f"token for {agent} at {origin}", AgentShown(agent, agent.upper())


def no_answers() -> Replies:
    """For servers that no request with an ``Idempotency-Key`` reaches."""
    raise NotImplementedError


def given_nothing() -> dict[str, Any]:
    """What a server needs beside its store."""
    return {"keys": FixedKeys, "answers": no_answers, "tokens": Tokens()}


@asynccontextmanager
async def serving_api(
    store: Any, web: Path, *, keys: Keys | None = None, replies: Replies | None = None, **more: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server of its own."""
    given = given_nothing() | more
    if keys is not None:
        given["keys"] = lambda: keys
    if replies is not None:
        given["answers"] = lambda: replies
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(partial(serve_api, "127.0.0.1", 0, store=store, web_folder=web, **given))
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
        tasks.cancel_scope.cancel()
