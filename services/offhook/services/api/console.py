"""The console's door for people on this machine: a link that counts once becomes a key that runs out (Build 10).

The key is one of the workspace's, so that it has scopes, is listed, and dies when somebody revokes it or signs out. It
travels as every key does. A cookie would not do: cookies do not know ports, and every other server on this machine
would get it.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Protocol

import anyio
import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler

from offhook.protocol.errors import Reason
from offhook.protocol.keys import MadeKey, NewKey
from offhook.services.api.access import Threads
from offhook.services.api.edge import client_of
from offhook.services.api.keys import KeyRing
from offhook.services.api.problems import Problem
from offhook.services.api.reading import check_headers, read_json, read_struct
from offhook.services.api.route import AnyRequest
from offhook.services.api.throttle import Throttle

#: Seconds for which somebody who came by a link is signed in.
SIGNED_IN = 12 * 3600
#: Codes that one address may try in a minute.
TRIES = 30


class ConsoleCodes(Protocol):
    """What takes the codes of links."""

    async def redeem(self, code: str) -> str:
        """The workspace that the code opens, once. Raises ``Refusal`` (``token_*``), ``BusAway``."""


class LinkCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code of a link."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class ConsoleSession(msgspec.Struct, frozen=True):
    """A key that runs out by itself, and its id, to revoke it with."""

    id: str
    key: str
    expires_at: float


class ConsoleDoor:
    """Lets people in who have a link."""

    def __init__(self, codes: ConsoleCodes, ring: Callable[[], KeyRing], in_thread: Threads) -> None:
        self._codes = codes
        self._ring = ring
        self._in_thread = in_thread
        self._tries = Throttle(TRIES)

    def handlers(self) -> list[HTTPRouteHandler]:
        """The handler of the door."""
        return [post("/api/console/session", status_code=201)(self.sign_in)]

    async def sign_in(self, request: AnyRequest) -> ConsoleSession:
        """A key for the code of a link."""
        check_headers(request)
        wait = self._tries.wait_needed(client_of(request.scope), anyio.current_time())
        if wait > 0:
            seconds = math.ceil(wait)
            detail = f"Too many links tried from this address; wait {seconds} s."
            raise Problem(429, Reason.RATE_LIMITED.value, detail, headers={"Retry-After": str(seconds)})
        asked = read_struct(await read_json(request), LinkCode)
        workspace = await self._codes.redeem(asked.code)
        expires_at = time.time() + SIGNED_IN
        wanted = NewKey(kind="secret", name="Console", expires_at=expires_at)
        made: MadeKey = await self._in_thread(partial(self._ring().create, workspace, wanted), abandon=False)
        return ConsoleSession(made.id, made.key, expires_at)
