"""``/v1/call-tokens``: tokens for calls from a page (R1, W13)."""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Protocol

import msgspec

from offhook.actors.ports import Profile
from offhook.protocol.errors import Reason
from offhook.protocol.ice import IceServer
from offhook.protocol.keys import Key
from offhook.protocol.origins import normal_origin
from offhook.services.api.access import Threads
from offhook.services.api.edge import forwarded_host, scheme_of
from offhook.services.api.keys import KeyRing
from offhook.services.api.problems import Problem
from offhook.services.api.route import AnyRequest, Ask, Nothing, Route

#: Seconds for which a token counts.
TTL = 300.0

#: Where a page comes from, as JSON Schema can say it; ``checked_origin`` has the last word.
Origin = Annotated[str, msgspec.Meta(max_length=300, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+/?$")]
AgentId = Annotated[str, msgspec.Meta(min_length=1, max_length=128, examples=["front-desk"])]
#: The STUN and TURN servers for one call.
IceServers = Callable[[], tuple[IceServer, ...]]

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class AgentShown(msgspec.Struct, frozen=True):
    """Whom a call is with."""

    id: str
    name: str


class CallTokens(Protocol):
    """Where call tokens are made."""

    async def mint(
        self, agent: str, *, origin: str | None, ttl: float, version: str | None = None, drafts: bool = False
    ) -> tuple[str, Profile]:
        """A token for one call of ``agent``, from a page of ``origin`` if it is given, and whom it is with.

        With a ``version`` that one serves; with ``drafts`` the caller may name others. Raises ``AgentNotFound``.
        """


#: A number, ``draft`` (the newest) or ``sandbox``.
Version = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class CallTokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the token is for."""

    agent_id: AgentId
    #: The page that will use it, for example ``https://example.com``; of a publishable key it is the page that asks.
    origin: Origin | None = None
    #: Of a secret key only: the version that serves, published or not: its number, ``draft`` for the newest one, or
    #: ``sandbox``. Left out: what is published; with a test key, what is published in the sandbox.
    version: Version | None = None
    #: Of a secret key only: the caller may name any version (``agentVersionOverride``); ``draft`` unless ``version``.
    preview: bool = False


class CallToken(msgspec.Struct, frozen=True):
    """All a page needs to call the agent over the gateway protocol."""

    token: str
    #: Seconds for which a call can be started with it.
    expires_in: float
    agent: AgentShown
    websocket_url: str
    ice_servers: tuple[IceServer, ...]


class CallTokensResource:
    """Tokens for calls from a page."""

    def __init__(
        self,
        tokens: CallTokens,
        ring: Callable[[], KeyRing],
        ice_servers: IceServers,
        websocket_path: str,
        in_thread: Threads,
    ) -> None:
        self._tokens = tokens
        self._ring = ring
        self._ice_servers = ice_servers
        self._websocket_path = websocket_path
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="POST", path="/v1/call-tokens", handle=self.create, summary="Make a call token",
                scope="calls:start", body=CallTokenRequest, gives=CallToken, status=201, from_pages=True,
            )
        ]  # fmt: skip

    async def create(self, ask: Ask[Nothing, CallTokenRequest]) -> CallToken:
        """A token for one call with an agent; the only thing that a publishable key can ask for."""
        origin = ask.body.origin
        if ask.key.kind == "publishable":
            refuse_unpublished(ask)
            origin = ask.request.headers.get("origin")
            await spend_quota(self._ring(), ask, self._in_thread)
        if origin is not None:
            origin = checked_origin(origin)
        url = socket_base(ask.request) + self._websocket_path
        version = ask.body.version or ("draft" if ask.body.preview else default_version(ask.key))
        token, profile = await self._tokens.mint(
            ask.body.agent_id, origin=origin, ttl=TTL, version=version, drafts=ask.body.preview
        )
        return CallToken(token, TTL, AgentShown(profile.agent, profile.name), url, self._ice_servers())


def default_version(key: Key) -> str | None:
    """The version that serves what a key starts: a test key tries the sandbox."""
    return "sandbox" if key.mode == "test" else None


def refuse_unpublished(ask: Ask[Nothing, CallTokenRequest]) -> None:
    """Raises ``Problem`` where a publishable key asks for more than what is published."""
    if ask.body.version is not None or ask.body.preview:
        raise Problem(
            403, "secret_key_required", "Only a secret key can start calls of a version that it names, or previews."
        )


async def spend_quota(ring: KeyRing, ask: Ask[Nothing, CallTokenRequest], in_thread: Threads) -> None:
    """Count one call of the key. Raises ``Problem`` where it has had all of today's."""
    wait = await in_thread(partial(ring.spend, ask.key), abandon=False)
    if wait > 0:
        raise Problem(
            429,
            "quota_exceeded",
            "This key has started all the calls it may start today; they come back at midnight UTC.",
            headers={"Retry-After": str(math.ceil(wait))},
        )


def checked_origin(origin: str) -> str:
    """The origin in its one written form. Raises ``Problem``."""
    normal = normal_origin(origin)
    if normal is None:
        raise Problem(
            422, Reason.INVALID_FIELD.value, "/origin: write a web origin such as https://example.com.",
            pointer="/origin",
        )  # fmt: skip
    return normal


def socket_base(request: AnyRequest) -> str:
    """Where the same host takes WebSockets: ``wss://host``. Raises ``Problem``."""
    return f"{'wss' if scheme_of(request.scope) == 'https' else 'ws'}://{host_of(request)}"


def host_of(request: AnyRequest) -> str:
    """The host, with its port, that the one who asks has written. Raises ``Problem``."""
    host = forwarded_host(request.scope) or request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise Problem(400, "invalid_request", "The Host header names no host.")
    return host
