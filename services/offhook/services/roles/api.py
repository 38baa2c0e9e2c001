"""The api role serves pages and the API; on trio."""

import time
from functools import partial
from ipaddress import ip_network

import anyio

from offhook.services.bus import open_bus
from offhook.services.late import LateHistory, late_agents, late_keys, late_replies, late_widgets, store_place
from offhook.services.recordings import open_recordings
from offhook.services.roles.adapters import RandomIdentity
from offhook.services.roles.process import open_agents, run_trio, serve
from offhook.services.settings import THIS_MACHINE, Settings


def run(settings: Settings) -> None:
    """Run until the process is asked to end."""
    run_trio(_serve_api, settings)


async def _serve_api(settings: Settings) -> None:
    from offhook.actors.operator import give_order
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
            open_agents(settings, for_new_calls=True) as agents,
            anyio.create_task_group() as tasks,
        ):
            demo = agents.profile("front-desk" if "front-desk" in agents.ids() else agents.ids()[0])
            parts = Parts(
                store=history,
                read_log=bus.read_log,
                give_order=lambda call, order, source: give_order(bus, call, order, source=source),
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
                trusted_proxies=tuple(ip_network(text) for text in (*THIS_MACHINE, *settings.trusted_proxies)),
            )
            await tasks.start(partial(serve_api, settings.api.host, settings.api.port, parts))
            tasks.start_soon(anyio.to_thread.run_sync, history.open)
            await serve(settings)
            tasks.cancel_scope.cancel()
    finally:
        history.close()
        keys.close()
        answers.close()
        stored_agents.close()
        widgets.close()
