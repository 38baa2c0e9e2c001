"""Schemathesis against the REST API: every route of the OpenAPI document, with data that fits and data that does not.

python tests/rest_contract.py [options of "schemathesis run"]

The store, the keys and the answers are the real ones; the bus is the simulated one, which passes the same contract
tests as NATS. Rates are lifted: a 429 would only hide what is behind it.
"""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

import offhook.web
from offhook.actors.operator import give_order
from offhook.actors.session import SessionActor
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.keys import NewKey
from offhook.protocol.messages import encode
from offhook.protocol.widgets import WidgetFields
from offhook.services.agents import ServedAgents
from offhook.services.api import Parts, Rates, serve_api
from offhook.services.recordings import RecordingFiles
from offhook.services.roles.adapters import WallClock
from offhook.services.store import open_keys, open_replies, open_store, open_stored_agents, open_widgets
from offhook.services.tokens import CallTokens, ConsoleCodes, Lines, RecordingTokens, Sessions, open_workspace
from offhook.services.webhooks import check_webhook_url
from offhook.simulation.bus import SimulatedBus

#: Enough for a run of about a minute; more with ``--max-examples``.
OPTIONS = ("--checks", "all", "--max-examples", "25", "--seed", "1", "--no-color", "--suppress-health-check", "all")
CONFIG = Path(__file__).with_name("rest_contract.toml")
CALL = "6f1c2d3e-0000-4000-8000-000000000001"
#: It lives, so that it cannot be erased, and has a recording.
RECORDED: tuple[ev.CallEvent, ...] = (
    ev.MediaConnected(),
    ev.RecordingBegan(key="a.ogg"),
    ev.AgentAnswered(),
    ev.RecordingSaved(key="a.ogg", seconds=1.0, size=1000),
)
AGENT = "id = 'front-desk'\nname = 'Front desk'\n[brain]\nkind = 'echo'\n"
WIDGET = WidgetFields(name="site", agent="front-desk")
FREE = Rates(secret_key=10**9, publishable_key=10**9, address=10**9, guesses=10**9)


async def main(options: tuple[str, ...]) -> int:
    """Serve, let it loose, and return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        workspace = open_workspace(data)
        place = data / "offhook.db"
        store, keys, replies = open_store(place), open_keys(place), open_replies(place)
        offered = ev.Offered(agent="front-desk", version="1", workspace=workspace.id, sdp="v=0", mode="traditional")
        stored, bus = open_stored_agents(place), SimulatedBus().client("api")
        last = 0
        for seq, event in enumerate((offered, *RECORDED), 1):
            entry = LogEntry(call=CALL, seq=seq, at=time.time(), owner=1, event=event)
            store.project(entry)
            last = await bus.append(subjects.log(CALL), encode(entry), last=last)
        (data / "recordings").mkdir()
        (data / "recordings" / "a.ogg").write_bytes(bytes(1000))
        widgets = open_widgets(place)
        stored.create(workspace.id, AGENT)
        stored.publish(workspace.id, "front-desk")
        served = ServedAgents(
            data / "agents", lambda: stored, lambda: workspace.id, clock=WallClock(), for_new_calls=True
        )
        parts = Parts(
            store=store,
            read_log=bus.read_log,
            give_order=lambda call, order, source: give_order(bus, call, order, source=source),
            webhooks=store.webhooks,
            check_webhook_url=partial(check_webhook_url, allowed=()),
            keys=lambda: keys,
            answers=lambda: replies,
            tokens=CallTokens(lambda: workspace, served),
            sessions=Sessions(lambda: workspace, served, bus),
            lines=Lines(bus),
            codes=ConsoleCodes(lambda: workspace, bus),
            sounds=RecordingFiles(data / "recordings"),
            recording_tokens=RecordingTokens(lambda: workspace),
            agents=lambda: stored,
            widgets=lambda: widgets,
            agents_changed=served.refresh,
            agent_from_folder=served.from_folder,
            agent_files=served.files,
            web_folder=offhook.web.FOLDER,
            rates=FREE,
        )
        path_ids = {
            "call_id": CALL, "agent_id": "front-desk", "number": "1",
            "widget_id": widgets.create(workspace.id, WIDGET).code,
            "webhook_id": store.webhooks().create(workspace.id, "https://example.org/", [], now=1.0).id,
        }  # fmt: skip
        known = data / "known.toml"
        rows = (f'"path.{name}" = "{value}"' for name, value in path_ids.items())
        known.write_text("\n".join([CONFIG.read_text("utf-8"), "[parameters]", *rows]), "utf-8")
        async with anyio.create_task_group() as tasks:
            # Somebody to take orders.
            tasks.start_soon(SessionActor(CALL, bus=bus, clock=WallClock(), owner=2).run)
            port = await tasks.start(partial(serve_api, "127.0.0.1", 0, parts))
            codes = []
            for config, which in (
                # What can take its own key away comes by itself.
                (CONFIG, ("--exclude-path-regex", "/(rotate|revoke)$")),
                (CONFIG, ("--include-path-regex", "/(rotate|revoke)$")),
                # The same paths once more, with ids of what is there; what deletes it comes last.
                (known, ("--include-path-regex", "[{]", "--exclude-path-regex", "keys", "--exclude-method", "DELETE")),
                (known, ("--include-path-regex", "[{]", "--exclude-path-regex", "keys", "--include-method", "DELETE")),
            ):
                key = keys.create(workspace.id, NewKey(kind="secret", name="contract")).key
                command = [
                    str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run",
                    f"http://127.0.0.1:{port}/v1/openapi.json", "-H", f"Authorization: Bearer {key}",
                    *which, *OPTIONS, *options,
                ]  # fmt: skip
                done = await anyio.to_thread.run_sync(partial(subprocess.run, command, check=False, cwd=data))
                codes.append(done.returncode)
            tasks.cancel_scope.cancel()
        store.close()
        keys.close()
        stored.close()
        widgets.close()
        replies.close()
        return max(codes)


if __name__ == "__main__":
    sys.exit(anyio.run(main, tuple(sys.argv[1:]), backend="trio"))
