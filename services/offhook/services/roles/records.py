"""The records role turns the logs of calls into records, and tells others of them; on trio."""

from functools import partial
from typing import TYPE_CHECKING

import anyio

from offhook.services.bus import keep_logs, open_bus
from offhook.services.late import store_place
from offhook.services.recordings import open_bucket, open_recordings
from offhook.services.roles.adapters import WallClock
from offhook.services.roles.process import explain, open_agents, run_trio, serve
from offhook.services.settings import Settings

if TYPE_CHECKING:
    from offhook.services.agents import ServedAgents
    from offhook.services.store import Store

#: Seconds in which the records hear what was written last, once the role is asked to end.
LAST_LINES = 0.3


def run(settings: Settings) -> None:
    """Run until the process is asked to end."""
    if settings.keep_logs is not None:
        explain(partial(anyio.run, keep_logs, settings.nats, settings.keep_logs), settings)
    run_trio(_keep_records, settings)


async def _keep_records(settings: Settings) -> None:
    from offhook.actors.eraser import Eraser
    from offhook.actors.transcript import run_records as follow_logs
    from offhook.services.store import StoreErasures, StoreRecords, open_store, tell_webhooks, want_analyses

    store = await anyio.to_thread.run_sync(open_store, store_place(settings))
    try:
        async with (
            open_bus(settings.nats, name=settings.node) as bus,
            open_agents(settings) as agents,
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
            await serve(settings)
            # What does not make it is read at the next start.
            await anyio.sleep(LAST_LINES)
            tasks.cancel_scope.cancel()
    finally:
        store.close()


async def _talk_outside(settings: Settings, store: "Store", agents: "ServedAgents") -> None:
    """Send webhooks and make analyses. Their library takes long to import, and nobody waits for them."""
    import ssl

    from offhook.protocol.webhooks import parse_networks
    from offhook.services.analysis import run_analyses
    from offhook.services.webhooks import ask, run_webhooks

    tls = await anyio.to_thread.run_sync(ssl.create_default_context)
    ask_outside = partial(ask, allowed=parse_networks(settings.model_allow), tls=tls)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_analyses, store.analyses(), agents.analysis_of, ask_outside)
        tasks.start_soon(partial(run_webhooks, store.outbox(), allowed=parse_networks(settings.webhook_allow)))
