"""The application: every resource in its place."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler

from offhook.protocol.agent.history import FileAgent
from offhook.services.api.access import Access, Rates, Threads
from offhook.services.api.agents import AgentsResource, AgentStore
from offhook.services.api.call_events import CallEvents, ReadLog
from offhook.services.api.call_export import CallArchive, CallExport
from offhook.services.api.call_orders import CallOrders, GiveOrder
from offhook.services.api.call_tokens import CallTokens, CallTokensResource, IceServers
from offhook.services.api.calls import CallHistory, Calls
from offhook.services.api.console import ConsoleCodes, ConsoleDoor
from offhook.services.api.demo import Demo, Mint
from offhook.services.api.dispatch import Answers, Dispatch
from offhook.services.api.edge import MAX_BODY, Edge, Network
from offhook.services.api.keys import KeyRing, KeysResource
from offhook.services.api.openapi import describe
from offhook.services.api.pages import Pages
from offhook.services.api.problems import answer_problem
from offhook.services.api.recordings import Recordings, RecordingTokens, Sounds
from offhook.services.api.route import Route
from offhook.services.api.voice import Sessions, Voice
from offhook.services.api.webhooks import CheckUrl, WebhookKeeper, WebhooksResource
from offhook.services.api.widgets import WidgetsResource, WidgetStore
from offhook.services.api.workspace import Keeping, Lines, WorkspaceResource

#: Works on the database at one time.
WORKERS = 4


class CallStore(CallHistory, CallArchive, Keeping, Protocol):
    """Where calls are read and erased."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the resources need."""

    store: CallStore
    #: Reads the log of a call.
    read_log: ReadLog
    #: Gives an order to a call that goes on.
    give_order: GiveOrder
    webhooks: Callable[[], WebhookKeeper]
    #: Checks where the URL of a webhook leads.
    check_webhook_url: CheckUrl
    #: The wall clock, seconds since the epoch.
    now: Callable[[], float] = time.time
    #: Keys, and answers that are given again; opened when first needed, from any thread.
    keys: Callable[[], KeyRing]
    answers: Callable[[], Answers]
    #: Where agents and widgets are kept; opened when first needed, from any thread.
    agents: Callable[[], AgentStore]
    widgets: Callable[[], WidgetStore]
    #: What makes call tokens, opens sessions and counts calls.
    tokens: CallTokens
    sessions: Sessions
    lines: Lines
    #: What takes the codes of links to the console.
    codes: ConsoleCodes
    #: Where recordings lie, and what signs links to them.
    sounds: Sounds
    recording_tokens: RecordingTokens
    #: Has this process see what was changed in the agents; tells whether a file serves an agent.
    agents_changed: Callable[[], Awaitable[None]]
    agent_from_folder: Callable[[str], bool]
    #: The agents of a workspace that files serve.
    agent_files: Callable[[str], tuple[FileAgent, ...]]
    web_folder: Path
    #: Gives the demo's call tokens; None: there is no demo.
    mint: Mint | None = None
    #: The STUN and TURN servers that go with a call token.
    ice_servers: IceServers = tuple
    #: Where the same host takes signaling.
    websocket_path: str = "/ws"
    #: Who is believed about the visitor: the gateways, and proxies that ask without one.
    trusted_proxies: tuple[Network, ...] = ()
    tokens_per_minute: int = 120
    rates: Rates = Rates()


class Application:
    """The resources, each in its place."""

    def __init__(self, parts: Parts) -> None:
        in_thread = Threads(WORKERS)
        ice_servers, path = parts.ice_servers, parts.websocket_path
        recordings = Recordings(
            parts.store, parts.sounds, parts.recording_tokens, parts.now, in_thread, per_minute=parts.rates.address
        )
        self.routes: list[Route] = [
            *Voice(parts.sessions).routes(),
            *Calls(parts.store, in_thread).routes(),
            *recordings.routes(),
            *CallEvents(parts.store, parts.read_log, in_thread).routes(),
            *CallOrders(parts.store, parts.give_order, in_thread).routes(),
            *CallExport(parts.store, parts.now, in_thread).routes(),
            *WebhooksResource(parts.webhooks, parts.check_webhook_url, parts.now, in_thread).routes(),
            *CallTokensResource(parts.tokens, parts.keys, ice_servers, path, in_thread).routes(),
            *KeysResource(parts.keys, in_thread).routes(),
            *AgentsResource(
                parts.agents,
                in_thread,
                changed=parts.agents_changed,
                from_folder=parts.agent_from_folder,
                files=parts.agent_files,
            ).routes(),
            *WidgetsResource(parts.widgets, in_thread).routes(),
            *WorkspaceResource(parts.lines, parts.store, in_thread).routes(),
        ]
        access = Access(lambda text: parts.keys().find(text), in_thread, parts.rates)
        dispatch = Dispatch(access, parts.answers, in_thread)
        self._handlers: list[HTTPRouteHandler] = [
            *Pages(parts.web_folder).handlers(),
            *Demo(parts.mint, ice_servers, path, parts.tokens_per_minute).handlers(),
            *ConsoleDoor(parts.codes, parts.keys, in_thread).handlers(),
            *recordings.handlers(),
            get("/v1/openapi.json", sync_to_thread=False)(self.show_document),
            *dispatch.handlers(self.routes),
        ]
        self._document: bytes | None = None
        self._trusted = parts.trusted_proxies

    def asgi(self) -> Edge:
        """The application as hypercorn runs it."""
        return Edge(
            Litestar(
                self._handlers,
                exception_handlers={Exception: answer_problem},
                request_max_body_size=MAX_BODY,
                openapi_config=None,
                logging_config=None,
            ),
            self._trusted,
        )

    def show_document(self) -> Response[bytes]:
        """The OpenAPI document."""
        if self._document is None:
            self._document = describe(self.routes)
        return Response(self._document, media_type="application/json", headers={"Access-Control-Allow-Origin": "*"})
