"""The demo: whom the page of this server calls, and a token for it without a key."""

import math
from collections.abc import Callable

import anyio
import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from offhook.protocol.errors import Reason
from offhook.protocol.ice import IceServer
from offhook.services.api.call_tokens import IceServers, socket_base
from offhook.services.api.edge import client_of
from offhook.services.api.problems import Problem
from offhook.services.api.reading import read_json, read_struct
from offhook.services.api.route import AnyRequest
from offhook.services.api.throttle import Throttle

#: The token of a call with the demo agent, and the agent's ``id`` and ``name``.
Mint = Callable[[], tuple[str, dict[str, str]]]


class DemoToken(msgspec.Struct, frozen=True, rename="camel"):
    """All a page needs to call the demo agent."""

    token: str
    agent: dict[str, str]
    websocket_url: str
    ice_servers: tuple[IceServer, ...]


class DemoTokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a demo token, which may also be left out."""


class Demo:
    """Calls from the page of this server."""

    def __init__(self, mint: Mint | None, ice_servers: IceServers, websocket_path: str, tokens_per_minute: int) -> None:
        self._mint = mint
        self._ice_servers = ice_servers
        self._websocket_path = websocket_path
        self._throttle = Throttle(tokens_per_minute)

    def handlers(self) -> list[HTTPRouteHandler]:
        """The handlers of the demo."""
        return [
            get("/api/demo/agent", sync_to_thread=False)(self.show_agent),
            post("/api/demo/token", status_code=200)(self.mint_token),
        ]

    def show_agent(self) -> dict[str, str]:
        """Whom the demo token calls."""
        return self._demo()[1]

    async def mint_token(self, request: AnyRequest) -> DemoToken:
        """A token for one call with the demo agent."""
        read_struct(await read_json(request), DemoTokenRequest)
        wait = self._throttle.wait_needed(client_of(request.scope), anyio.current_time())
        if wait > 0:
            seconds = math.ceil(wait)
            detail = f"Too many tokens asked for from this address; wait {seconds} s."
            raise Problem(429, Reason.RATE_LIMITED.value, detail, headers={"Retry-After": str(seconds)})
        url = socket_base(request) + self._websocket_path
        token, agent = self._demo()
        return DemoToken(token, agent, url, self._ice_servers())

    def _demo(self) -> tuple[str, dict[str, str]]:
        if self._mint is None:
            raise Problem(404, "demo_off", "This server gives no demo tokens; mint tokens on your own server.")
        return self._mint()
