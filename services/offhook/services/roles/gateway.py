"""The gateway role owns calls: signaling, sessions, registry; on trio."""

from functools import partial
from ipaddress import ip_network

import anyio

from offhook.services.bus import open_bus
from offhook.services.metrics import call_figures
from offhook.services.roles.adapters import RandomIdentity, WallClock, WorkspaceVerifier
from offhook.services.roles.process import LAST_CALLS, LAST_WORD, open_agents, run_trio, serve, start
from offhook.services.settings import THIS_MACHINE, Settings


def run(settings: Settings) -> None:
    """Run until the process is asked to end."""
    run_trio(_serve_calls, settings)


async def _serve_calls(settings: Settings) -> None:
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
        open_agents(settings, for_new_calls=True) as agents,
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

        await start(tasks, registry.run)
        upstream = (settings.api.host, settings.api.port)
        trusted = tuple(ip_network(text) for text in (*THIS_MACHINE, *settings.trusted_proxies))
        port = partial(serve_gateway, settings.http.host, settings.http.port, upstream=upstream, handle=handle)
        await tasks.start(partial(port, trusted_proxies=trusted))
        await serve(settings, lambda: call_figures(len(registry.calls)))
        registry.close()
        with anyio.move_on_after(LAST_CALLS):
            await registry.wait_empty()
        with anyio.move_on_after(LAST_WORD):
            await registry.leave()
        tasks.cancel_scope.cancel()
