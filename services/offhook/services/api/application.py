"""The application: which address does what."""

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import anyio
import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath, QueryParameter

from offhook.protocol.call import CallState
from offhook.protocol.errors import Reason
from offhook.protocol.ice import IceServer
from offhook.protocol.record import CallFilter, CallPage, CallRecord
from offhook.services.api.assets import Assets, is_known
from offhook.services.api.edge import MAX_BODY, Edge, client_of, scheme_of
from offhook.services.api.problems import Problem, answer_problem
from offhook.services.api.throttle import Throttle

#: Most calls on one page of the history.
MAX_PAGE = 200
#: Reads of the store at one time.
READERS = 4

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]
#: The token of a call with the demo agent, and the agent's ``id`` and ``name``.
Mint = Callable[[], tuple[str, dict[str, str]]]
#: The STUN and TURN servers for one call.
IceServers = Callable[[], tuple[IceServer, ...]]
#: The workspace that a secret key opens; None for a key nobody has.
Verify = Callable[[str], str | None]

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class CallHistory(Protocol):
    """Where calls are read. Synchronous; used from several worker threads. Both raise ``RecordsAway``."""

    def calls(self, wanted: CallFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> CallPage:
        """One page of the calls that pass the filter, newest first. Raises ``BadCursor``."""

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        """One call. Raises ``CallNotFound``."""


class DemoToken(msgspec.Struct, frozen=True, rename="camel"):
    """All a page needs to call the demo agent."""

    token: str
    agent: dict[str, str]
    websocket_url: str
    ice_servers: tuple[IceServer, ...]


class DemoTokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a demo token, which may also be left out."""


class Application:
    """The handlers, with what they need."""

    def __init__(
        self,
        *,
        store: CallHistory,
        web_folder: Path,
        mint: Mint | None,
        ice_servers: IceServers,
        verify: Verify | None,
        websocket_path: str,
        tokens_per_minute: int,
    ) -> None:
        self._store = store
        self._assets = Assets(web_folder)
        self._mint = mint
        self._ice_servers = ice_servers
        self._verify = verify
        self._websocket_path = websocket_path
        self._throttle = Throttle(tokens_per_minute)
        self._readers = anyio.CapacityLimiter(READERS)

    def asgi(self) -> Edge:
        """The application as hypercorn runs it."""
        return Edge(
            Litestar(
                [
                    get("/", sync_to_thread=False)(self.show_page),
                    get("/web/{path:path}", sync_to_thread=False)(self.show_file),
                    get("/healthz", sync_to_thread=False)(self.show_health),
                    get("/api/demo/agent", sync_to_thread=False)(self.show_demo_agent),
                    post("/api/demo/token", status_code=200)(self.mint_demo_token),
                    get("/v1/calls")(self.list_calls),
                    get("/v1/calls/{call_id:str}")(self.show_call),
                ],
                exception_handlers={Exception: answer_problem},
                request_max_body_size=MAX_BODY,
                openapi_config=None,
                logging_config=None,
            )
        )

    # ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────

    def show_page(self, request: AnyRequest) -> Response[bytes]:
        """The page of a call."""
        return self._file(request, "pages/call/index.html")

    def show_file(self, request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
        """A file of the web folder."""
        response = self._file(request, path)
        # The files are public, and a module on another site's page is fetched with CORS.
        response.headers["access-control-allow-origin"] = "*"
        return response

    def show_health(self) -> dict[str, str]:
        """Whether this process serves."""
        return {"status": "ok"}

    def _file(self, request: AnyRequest, path: str) -> Response[bytes]:
        asset = self._assets.find(path)
        if asset is None:
            raise Problem(404, "not_found", "There is no such file.")
        headers = {"etag": asset.etag, "cache-control": "no-cache"}
        if is_known(asset, request.headers.get("if-none-match")):
            return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
        return Response(asset.body, headers=headers, media_type=asset.media_type)

    # ── demo ───────────────────────────────────────────────────────────────────────────────────────────────────

    def show_demo_agent(self) -> dict[str, str]:
        """Whom the demo token calls."""
        return self._demo()[1]

    async def mint_demo_token(self, request: AnyRequest) -> DemoToken:
        """A token for one call with the demo agent."""
        await _read_body(request, DemoTokenRequest)
        wait = self._throttle.wait_needed(client_of(request.scope), anyio.current_time())
        if wait > 0:
            seconds = math.ceil(wait)
            detail = f"Too many tokens asked for from this address; wait {seconds} s."
            raise Problem(429, Reason.RATE_LIMITED.value, detail, headers={"Retry-After": str(seconds)})
        host = request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            raise Problem(400, "invalid_request", "The Host header names no host.")
        token, agent = self._demo()
        scheme = "wss" if scheme_of(request.scope) == "https" else "ws"
        return DemoToken(token, agent, f"{scheme}://{host}{self._websocket_path}", self._ice_servers())

    def _demo(self) -> tuple[str, dict[str, str]]:
        if self._mint is None:
            raise Problem(404, "demo_off", "This server gives no demo tokens; mint tokens on your own server.")
        return self._mint()

    # ── history ────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_calls(
        self,
        request: AnyRequest,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
        call_state: Annotated[CallState | None, QueryParameter(name="state")] = None,
        agent: Annotated[str | None, QueryParameter(max_length=200)] = None,
    ) -> CallPage:
        """Calls, newest first."""
        workspace = await self._workspace(request)
        wanted = CallFilter(workspace=workspace, state=call_state, agent=agent)
        return await self._in_thread(partial(self._store.calls, wanted, limit=limit, cursor=cursor))

    async def show_call(self, request: AnyRequest, call_id: FromPath[str]) -> CallRecord:
        """One call with its states and transcript."""
        workspace = await self._workspace(request)
        record = await self._in_thread(partial(self._store.call, call_id, exact=True))
        if record.workspace != workspace:
            # Word for word what an id that does not exist gets.
            raise Problem(404, "call_not_found", "There is no call with this id.")
        return record

    async def _workspace(self, request: AnyRequest) -> str:
        """The workspace that the request's key opens."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise _unauthorized("key_missing", "Send a secret key: Authorization: Bearer sk_...")
        if key.startswith("pk_"):
            raise Problem(
                403, "secret_key_required", "A publishable key can only start calls; use a secret key (sk_...)."
            )
        workspace = None if self._verify is None else await self._in_thread(partial(self._verify, key))
        if workspace is None:
            raise _unauthorized("key_invalid", "This key is not known here; it may have been revoked.")
        return workspace

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # Reading can be abandoned: nothing waits for it when the server ends.
        return await anyio.to_thread.run_sync(work, limiter=self._readers, abandon_on_cancel=True)


def _unauthorized(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": "Bearer"})


async def _read_body(request: AnyRequest, kind: type[T]) -> T:
    """The JSON body as ``kind``; a body left out is an empty object."""
    body = await request.body()
    if not body:
        return msgspec.convert({}, kind)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "unsupported_media_type", "Send the body as application/json.")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, Reason.INVALID_FIELD.value, str(error)) from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Problem(400, Reason.INVALID_JSON.value, "The body is not JSON.") from error
