"""A product for callers over the real wire: the whole of it, with agents of few words."""

import contextlib
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import msgspec
from gateway_client import token_for
from product import Product, free_ports

from offhook.protocol.record import CallNotFound
from offhook.services.bus import open_bus
from offhook.services.settings import ROLES
from offhook.services.store import open_store, store_file
from offhook.services.up import bus_address

#: Speaks a sentence into a sound file.
Speak = Callable[[str], Path]

#: An agent that has said everything within seconds.
CLERK = """
id = "clerk"
name = "The clerk"
version = "1"
greeting = "Hello."

[brain]
kind = "flow"
start = "start"

[limits]
patience = 10

[repair]
silence = "Hello?"
silence_farewell = "Goodbye then."

[intents.hours]
phrases = ["what are your opening hours"]
say = "We are open from nine to five."

[intents.bye]
phrases = ["goodbye", "bye", "good bye"]

[nodes.start]
kind = "ask"
say = "Yes?"
on = { bye = "end" }

[nodes.end]
kind = "end"
say = "Goodbye."
"""
#: An agent that asks two questions, and needs both answers.
CLUB = """
id = "club"
name = "The tennis club"
version = "1"
greeting = "Hello."

[brain]
kind = "flow"
start = "ask_day"

[limits]
patience = 30

[recording]
on = true

[slots.day]
type = "day"

[intents.yes]
phrases = ["yes", "yes please"]

[nodes.ask_day]
kind = "ask"
say = "Which day?"
slot = "day"
answers = ["[on] {day}"]
next = "confirm"

[nodes.confirm]
kind = "ask"
say = "So that is {day}?"
on = { yes = "end" }

[nodes.end]
kind = "end"
say = "See you on {day}."
"""
#: The same as the clerk, recorded when the caller has agreed to it.
SCRIBE = (
    CLERK.replace('"clerk"', '"scribe"')
    + """
[recording]
on = true
consent = "2026-11"
"""
)
#: The same, for callers who say nothing.
HASTY = CLERK.replace('"clerk"', '"hasty"').replace("patience = 10", "patience = 1")
#: The same, for callers who are silent for minutes.
PATIENT = CLERK.replace('"clerk"', '"patient"').replace("patience = 10", "patience = 120")


async def can_connect(url: str) -> bool:
    """Whether somebody listens there."""
    where = urlsplit(url)
    assert where.hostname is not None and where.port is not None
    try:
        await (await anyio.connect_tcp(where.hostname, where.port)).aclose()
    except OSError:
        return False
    return True


def fetch_page(url: str) -> bool:
    """Whether the page is there."""
    try:
        with urllib.request.urlopen(url, timeout=20) as page:
            return bool(page.status == 200)
    except OSError:
        return False


class Killed(msgspec.Struct, frozen=True):
    """A process that was killed, and the nodes there were then."""

    role: str
    pid: int
    #: Keys of their leases, with revisions.
    nodes: dict[str, int]


class Stage(Product):
    """A running product with the agents ``clerk``, ``club``, ``hasty``, ``patient`` and ``scribe``."""

    def __init__(self, folder: Path) -> None:
        self.agents = folder / "agents"
        self.agents.mkdir()
        (self.agents / "clerk.toml").write_text(CLERK)
        (self.agents / "club.toml").write_text(CLUB)
        (self.agents / "hasty.toml").write_text(HASTY)
        (self.agents / "patient.toml").write_text(PATIENT)
        (self.agents / "scribe.toml").write_text(SCRIBE)
        #: Where the roles serve their figures: the first of four ports in a row.
        self.metrics = free_ports(len(ROLES))
        super().__init__(folder, "--agents", str(self.agents), "--metrics", f"127.0.0.1:{self.metrics}")

    def new_token(self, agent: str = "clerk", **options: Any) -> str:
        """A fresh call token, without the detour through a process of its own."""
        return token_for(self.folder / "data", agent, **options)

    @property
    def nats(self) -> str:
        """Address of the embedded NATS server."""
        url = bus_address(self.folder / "data")
        assert url is not None
        return url

    async def keys(self, prefix: str) -> dict[str, int]:
        """The keys on the bus that begin with ``prefix``, and their revisions."""
        async with open_bus(self.nats, name="observer") as bus:
            return {stored.subject: stored.revision for stored in await bus.keys(prefix)}

    async def kill(self, role: str) -> Killed:
        """``kill -9`` a role."""
        nodes = await self.keys("node.")
        pid = self.processes()[role]
        os.kill(pid, signal.SIGKILL)
        return Killed(role, pid, nodes)

    async def wait_back(self, killed: Killed) -> None:
        """Wait until another process serves in its place."""
        with anyio.fail_after(60):
            while self.processes().get(killed.role, killed.pid) == killed.pid or not await self._serves(killed):
                await anyio.sleep(0.05)

    async def _serves(self, killed: Killed) -> bool:
        match killed.role:
            case "nats-server":
                # Back for everybody: each node that there was has renewed its lease.
                now = await self.keys("node.") if await can_connect(self.nats) else {}
                return all(now.get(node, 0) > revision for node, revision in killed.nodes.items())
            case "voice" | "gateway":
                fresh = (await self.keys(f"node.{killed.role}.")).keys() - killed.nodes.keys()
                return bool(fresh) and await can_connect(self.url)
            case "api":
                return await anyio.to_thread.run_sync(fetch_page, self.url)
            case _:
                # Nobody waits for the records: what they missed is in the logs.
                return True

    def record_now(self, call: str) -> dict[str, Any]:
        """The record of a call as far as it is written."""
        store = open_store(store_file(self.folder / "data"))
        try:
            record: dict[str, Any] = msgspec.to_builtins(store.call(call))
        finally:
            store.close()
        return record

    async def ended(self, call: str, seconds: float = 60.0) -> dict[str, Any]:
        """The record of a call, once the call has ended."""
        record: dict[str, Any] = {}
        with anyio.move_on_after(seconds):
            while record.get("state") != "ended":
                await anyio.sleep(0.05)
                with contextlib.suppress(CallNotFound):
                    record = self.record_now(call)
        assert record.get("state") == "ended", record
        return record
