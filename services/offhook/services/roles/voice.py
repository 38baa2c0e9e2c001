"""The voice role carries calls: media and agents; on uvloop."""

import logging
import socket
from functools import partial

import anyio

from offhook.services.bus import open_bus
from offhook.services.metrics import media_figures, quality_figures
from offhook.services.recordings import open_bucket
from offhook.services.roles.adapters import WallClock
from offhook.services.roles.process import LAST_CALLS, LAST_WORD, explain, open_agents, serve, start
from offhook.services.settings import Settings, recordings_folder

log = logging.getLogger("offhook.roles")


def run(settings: Settings) -> None:
    """Run until the process is asked to end."""
    on_uvloop = {"use_uvloop": True}
    explain(partial(anyio.run, _carry_calls, settings, backend="asyncio", backend_options=on_uvloop), settings)


async def _carry_calls(settings: Settings) -> None:
    from offhook.actors.voice import VoiceNode
    from offhook.services.media import AiortcEngine, FileRecorder, hold_packets
    from offhook.services.speech import EndpointDetector, open_recognizer, open_synthesizer

    async with (
        open_bus(settings.nats, name=settings.node) as bus,
        open_recognizer() as recognizer,
        open_synthesizer() as synthesizer,
        open_agents(settings) as agents,
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
        await start(tasks, node.run)
        await serve(
            settings,
            lambda: [
                *media_figures(engine.connections, engine.quality, engine.dropped),
                *quality_figures(engine.qualities),
            ],
            {"datagrams dropped": engine.dropped},
        )
        with anyio.move_on_after(LAST_CALLS):
            await node.wait_empty()
        with anyio.move_on_after(LAST_WORD):
            await node.leave()
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
