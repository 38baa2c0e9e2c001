"""The application: every resource in its place."""

from collections.abc import Callable
from pathlib import Path

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler

from offhook.services.api.access import Access, Rates, Threads
from offhook.services.api.call_tokens import CallTokens, CallTokensResource, IceServers
from offhook.services.api.calls import CallHistory, Calls
from offhook.services.api.demo import Demo, Mint
from offhook.services.api.dispatch import Answers, Dispatch
from offhook.services.api.edge import MAX_BODY, Edge
from offhook.services.api.keys import KeyRing, KeysResource
from offhook.services.api.openapi import describe
from offhook.services.api.pages import Pages
from offhook.services.api.problems import answer_problem
from offhook.services.api.route import Route

#: Works on the database at one time.
WORKERS = 4


class Application:
    """The resources, with what they need."""

    def __init__(
        self,
        *,
        store: CallHistory,
        keys: Callable[[], KeyRing],
        answers: Callable[[], Answers],
        tokens: CallTokens,
        web_folder: Path,
        mint: Mint | None,
        ice_servers: IceServers,
        websocket_path: str,
        tokens_per_minute: int,
        rates: Rates,
    ) -> None:
        in_thread = Threads(WORKERS)
        self.routes: list[Route] = [
            *Calls(store, in_thread).routes(),
            *CallTokensResource(tokens, keys, ice_servers, websocket_path, in_thread).routes(),
            *KeysResource(keys, in_thread).routes(),
        ]
        dispatch = Dispatch(Access(lambda text: keys().find(text), in_thread, rates), answers, in_thread)
        self._handlers: list[HTTPRouteHandler] = [
            *Pages(web_folder).handlers(),
            *Demo(mint, ice_servers, websocket_path, tokens_per_minute).handlers(),
            get("/v1/openapi.json", sync_to_thread=False)(self.show_document),
            *map(dispatch.handler, self.routes),
        ]
        self._document: bytes | None = None

    def asgi(self) -> Edge:
        """The application as hypercorn runs it."""
        return Edge(
            Litestar(
                self._handlers,
                exception_handlers={Exception: answer_problem},
                request_max_body_size=MAX_BODY,
                openapi_config=None,
                logging_config=None,
            )
        )

    def show_document(self) -> Response[bytes]:
        """The OpenAPI document."""
        if self._document is None:
            self._document = describe(self.routes)
        return Response(self._document, media_type="application/json", headers={"Access-Control-Allow-Origin": "*"})
