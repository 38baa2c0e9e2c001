"""How the parts become processes: one function for each role. The only file that knows all of them.

Each function opens what its role needs, says that it serves, and returns when the process is asked to end. Imports of
heavy parts stand inside the functions: a role pays for what it uses.
"""

import gc
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import anyio

from offhook.actors.ports import Grant
from offhook.protocol.errors import OffhookError
from offhook.services.bus import keep_logs, open_bus
from offhook.services.late import LateHistory, late_agents, late_keys, late_replies, late_widgets, store_place
from offhook.services.lifetime import wait_stopped
from offhook.services.metrics import Read, call_figures, media_figures
from offhook.services.recordings import open_bucket, open_recordings
from offhook.services.settings import BadSetup, Settings, recordings_folder, signal_ready

if TYPE_CHECKING:
    from offhook.services.agents import ServedAgents
    from offhook.services.store import Store
    from offhook.services.tokens import Workspace

log = logging.getLogger("offhook.wiring")

#: Seconds a role has for its calls once it is asked to end, then for its word to the other nodes, and those in which
#: the records hear what was written last. A supervisor's patience (``Limits.grace``) is longer.
LAST_CALLS = 1.5
LAST_WORD = 0.4
LAST_LINES = 0.3


class WallClock:
    """The ``Clock`` port on the system's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


class RandomIdentity:
    """The ``Identity`` port on random UUIDs."""

    def new_id(self) -> str:
        """A fresh UUID."""
        return str(uuid.uuid4())


class WorkspaceVerifier:
    """The ``Verifier`` port on the workspace's signing keys."""

    def __init__(self, workspace: Callable[[], "Workspace"]) -> None:
        self._workspace = workspace

    def verify(self, token: str, *, origin: str | None) -> Grant:
        """See ``Verifier``."""
        return self._verify(token, origin=origin, session=None)

    def verify_join(self, token: str, *, session: str, origin: str | None) -> Grant:
        """See ``Verifier``."""
        return self._verify(token, origin=origin, session=session)

    def _verify(self, token: str, *, origin: str | None, session: str | None) -> Grant:
        from offhook.services.tokens import verify_token

        grant = verify_token(self._workspace(), token, origin=origin, session=session)
        return Grant(
            agent=grant.agent,
            workspace=grant.workspace,
            token=grant.jti,
            reusable=grant.reusable,
            expires_at=grant.expires_at,
            version=grant.version,
            drafts=grant.drafts,
        )


def run_gateway(settings: Settings) -> None:
    """Own calls: signaling, sessions, registry; on trio."""
    _run_trio(_gateway, settings)


def run_voice(settings: Settings) -> None:
    """Carry calls: media and agents; on uvloop."""
    _explain(partial(anyio.run, _voice, settings, backend="asyncio", backend_options={"use_uvloop": True}), settings)


def run_records(settings: Settings) -> None:
    """Turn the logs of calls into records; on trio."""
    if settings.keep_logs is not None:
        _explain(partial(anyio.run, keep_logs, settings.nats, settings.keep_logs), settings)
    _run_trio(_records, settings)


def run_api(settings: Settings) -> None:
    """Serve pages and the API; on trio."""
    _run_trio(_api, settings)


# ── the roles ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _gateway(settings: Settings) -> None:
    from offhook.actors.caller_socket import CallerSocket
    from offhook.actors.doorkeeper import Doorkeeper
    from offhook.actors.joining import JoiningActor
    from offhook.actors.registry import Registry
    from offhook.actors.signaling import SignalingActor
    from offhook.protocol.join import session_of
    from offhook.services.gateway import serve_gateway
    from offhook.services.tokens import CurrentWorkspace

    clock = WallClock()
    async with (
        open_bus(settings.nats, name=settings.node) as bus,
        _open_agents(settings, for_new_calls=True) as agents,
        anyio.create_task_group() as tasks,
    ):
        registry = Registry(settings.node, bus=bus, clock=clock)
        doorkeeper = Doorkeeper(
            bus=bus,
            registry=registry,
            agents=agents,
            verifier=WorkspaceVerifier(CurrentWorkspace(settings.data)),
            identity=RandomIdentity(),
            clock=clock,
        )

        async def handle(socket: CallerSocket) -> None:
            actor = JoiningActor if session_of(socket.path) else SignalingActor
            await actor(socket, bus=bus, doorkeeper=doorkeeper).run()

        await _start(tasks, registry.run)
        upstream = (settings.api.host, settings.api.port)
        await tasks.start(
            partial(serve_gateway, settings.http.host, settings.http.port, upstream=upstream, handle=handle)
        )
        await _serve(settings, lambda: call_figures(len(registry.calls)))
        registry.close()
        with anyio.move_on_after(LAST_CALLS):
            await registry.wait_empty()
        with anyio.move_on_after(LAST_WORD):
            await registry.leave()
        tasks.cancel_scope.cancel()


async def _find_stun(settings: Settings) -> tuple[str, int] | None:
    """IP address and port of the STUN server to ask; None without one, or when its name is not known."""
    from offhook.protocol.ice import stun_server

    if settings.media_address is not None or (server := stun_server(settings.ice)) is None:
        return None
    try:
        found = await anyio.getaddrinfo(*server, type=socket.SOCK_DGRAM)
    except OSError:
        log.warning("the STUN server's name is not known; calls go without", extra={"server": server[0]})
        return None
    return str(found[0][4][0]), server[1]


async def _voice(settings: Settings) -> None:
    from offhook.actors.voice import VoiceNode
    from offhook.services.media import AiortcEngine, FileRecorder, hold_packets
    from offhook.services.speech import EndpointDetector, open_recognizer, open_synthesizer

    async with (
        open_bus(settings.nats, name=settings.node) as bus,
        open_recognizer() as recognizer,
        open_synthesizer() as synthesizer,
        _open_agents(settings) as agents,
        anyio.create_task_group() as tasks,
    ):
        engine = AiortcEngine(settings.media_address, stun=await _find_stun(settings))
        recorder = FileRecorder(recordings_folder(settings.data), keep_days=settings.keep_recordings)
        node = VoiceNode(
            settings.node,
            bus=bus,
            clock=WallClock(),
            engine=engine,
            agents=agents,
            recognizer=recognizer,
            synthesizer=synthesizer,
            detector=EndpointDetector,
            recorder=recorder,
        )
        tasks.start_soon(recorder.run)
        if (bucket := open_bucket(settings.recordings, settings.recordings_endpoint)) is not None:
            from offhook.services.recordings.moving import run_uploads

            tasks.start_soon(run_uploads, recordings_folder(settings.data), bucket)
        # Before the first hold, so that no call waits for it.
        tasks.start_soon(anyio.to_thread.run_sync, hold_packets)
        await _start(tasks, node.run)
        await _serve(
            settings,
            lambda: media_figures(engine.connections, engine.quality, engine.dropped),
            {"datagrams dropped": engine.dropped},
        )
        with anyio.move_on_after(LAST_CALLS):
            await node.wait_empty()
        with anyio.move_on_after(LAST_WORD):
            await node.leave()
        tasks.cancel_scope.cancel()


async def _records(settings: Settings) -> None:
    from offhook.actors.eraser import Eraser
    from offhook.actors.transcript import run_records as follow_logs
    from offhook.services.store import StoreErasures, StoreRecords, open_store, tell_webhooks, want_analyses

    store = await anyio.to_thread.run_sync(open_store, store_place(settings))
    try:
        async with (
            open_bus(settings.nats, name=settings.node) as bus,
            _open_agents(settings) as agents,
            anyio.create_task_group() as tasks,
        ):
            listeners = (tell_webhooks, want_analyses(agents.analysis_of))
            tasks.start_soon(follow_logs, bus, StoreRecords(store, listeners=listeners))
            files = open_recordings(settings.data, settings.recordings, settings.recordings_endpoint)
            tasks.start_soon(Eraser(bus=bus, erasures=StoreErasures(store), files=files, clock=WallClock()).run)
            if (bucket := open_bucket(settings.recordings, settings.recordings_endpoint)) is not None:
                from offhook.services.recordings.moving import run_sweeps

                keep = settings.keep_recordings
                tasks.start_soon(run_sweeps, bucket, keep, lambda call: store.erasure(call) is not None)
            tasks.start_soon(_talk_outside, settings, store, agents)
            await _serve(settings)
            # What does not make it is read at the next start.
            await anyio.sleep(LAST_LINES)
            tasks.cancel_scope.cancel()
    finally:
        store.close()


async def _talk_outside(settings: Settings, store: "Store", agents: "ServedAgents") -> None:
    """Send webhooks and make analyses. Their library takes long to import, and nobody waits for them."""
    from offhook.protocol.webhooks import parse_networks
    from offhook.services.analysis import run_analyses
    from offhook.services.webhooks import run_webhooks

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_analyses, store.analyses(), agents.analysis_of)
        tasks.start_soon(partial(run_webhooks, store.outbox(), allowed=parse_networks(settings.webhook_allow)))


async def _api(settings: Settings) -> None:
    from offhook.protocol.ice import ice_servers
    from offhook.services.api import Parts, serve_api
    from offhook.services.gateway import SIGNALING_PATH
    from offhook.services.tokens import (
        CallTokens,
        ConsoleCodes,
        CurrentWorkspace,
        Lines,
        RecordingTokens,
        Sessions,
        mint_token,
    )
    from offhook.web import FOLDER

    workspace = CurrentWorkspace(settings.data)
    history = LateHistory(store_place(settings))
    keys = late_keys(settings, workspace())

    async def check_url(url: str) -> None:
        # Its library takes long to import, and few pages need it.
        from offhook.protocol.webhooks import parse_networks
        from offhook.services.webhooks import check_webhook_url

        await check_webhook_url(url, allowed=parse_networks(settings.webhook_allow))

    answers = late_replies(settings)
    widgets = late_widgets(settings)
    stored_agents = late_agents(settings)
    try:
        async with (
            open_bus(settings.nats, name=settings.node) as bus,
            _open_agents(settings, for_new_calls=True) as agents,
            anyio.create_task_group() as tasks,
        ):
            demo = agents.profile("front-desk" if "front-desk" in agents.ids() else agents.ids()[0])
            parts = Parts(
                store=history,
                read_log=bus.read_log,
                webhooks=history.webhooks,
                check_webhook_url=check_url,
                keys=keys,
                answers=answers,
                agents=stored_agents,
                widgets=widgets,
                agents_changed=agents.refresh,
                agent_from_folder=agents.from_folder,
                agent_files=agents.files,
                tokens=CallTokens(workspace, agents),
                sessions=Sessions(workspace, agents, bus),
                lines=Lines(bus),
                codes=ConsoleCodes(workspace, bus),
                sounds=open_recordings(settings.data, settings.recordings, settings.recordings_endpoint),
                recording_tokens=RecordingTokens(workspace),
                web_folder=FOLDER,
                ice_servers=lambda: ice_servers(
                    settings.ice, secret=settings.turn_secret, name=RandomIdentity().new_id(), now=time.time()
                ),
                mint=lambda: (mint_token(workspace(), agent=demo.agent), {"id": demo.agent, "name": demo.name}),
                websocket_path=SIGNALING_PATH,
            )
            await tasks.start(partial(serve_api, settings.api.host, settings.api.port, parts))
            tasks.start_soon(anyio.to_thread.run_sync, history.open)
            await _serve(settings)
            tasks.cancel_scope.cancel()
    finally:
        history.close()
        keys.close()
        answers.close()
        stored_agents.close()
        widgets.close()


# ── what they share ────────────────────────────────────────────────────────────────────────────────────────────────


async def _serve(
    settings: Settings, read: Read = tuple, counted: Mapping[str, Mapping[str, int]] | None = None
) -> None:
    """Say that the role serves, and wait until it is to end; meanwhile tell the figures that ``read`` gives.

    What was made up to here stays: the garbage collector need never look at it again.
    """
    with _open_metrics(settings, read):
        gc.freeze()
        gc.enable()
        signal_ready(settings)
        await wait_stopped(counted)


def _open_metrics(settings: Settings, read: Read) -> AbstractContextManager[object]:
    if settings.metrics is None:
        return nullcontext()
    from offhook.services.metrics.serving import open_metrics

    return open_metrics(settings.metrics, read)


@asynccontextmanager
async def _open_agents(settings: Settings, *, for_new_calls: bool = False) -> AsyncIterator["ServedAgents"]:
    """The agents of the folder and of the store, looked at as long as the context is open."""
    from offhook.services.agents import ServedAgents
    from offhook.services.tokens import CurrentWorkspace

    store = late_agents(settings)
    workspace = CurrentWorkspace(settings.data)
    folder = settings.agents or settings.data / "agents"
    agents = ServedAgents(folder, store, lambda: workspace().id, clock=WallClock(), for_new_calls=for_new_calls)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agents.run)
            yield agents
            tasks.cancel_scope.cancel()
    finally:
        store.close()


async def _start(tasks: anyio.abc.TaskGroup, run: Callable[..., Awaitable[None]]) -> None:
    """Start a node's ``run`` and wait until it has said that it is there."""
    started = anyio.Event()

    async def go() -> None:
        await run(started=started.set)

    tasks.start_soon(go)
    await started.wait()


def _run_trio(role: Callable[[Settings], Awaitable[None]], settings: Settings) -> None:
    _explain(partial(anyio.run, role, settings, backend="trio"), settings)


def _explain(run: Callable[[], None], settings: Settings) -> None:
    """Run a role; what the system refuses it becomes one sentence for people."""
    try:
        run()
    except (OSError, OffhookError, BaseExceptionGroup) as error:
        first = _first(error)
        if isinstance(first, OffhookError):
            raise first from error
        if isinstance(first, OSError):
            where = f"http {settings.http}, api {settings.api}, data {settings.data}"
            raise BadSetup(f"{first.strerror or first} ({where})") from error
        raise


def _first(error: BaseException) -> BaseException:
    """The first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
