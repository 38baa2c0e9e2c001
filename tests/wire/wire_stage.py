"""A product for callers over the real wire: the whole of it, with agents of few words."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
from gateway_client import token_for
from product import Product

from offhook.protocol.record import CallNotFound
from offhook.services.store import open_store, store_file

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
#: The same, for callers who say nothing.
HASTY = CLERK.replace('"clerk"', '"hasty"').replace("patience = 10", "patience = 1")


class Stage(Product):
    """A running product with the agents ``clerk`` and ``hasty``."""

    def __init__(self, folder: Path) -> None:
        self.agents = folder / "agents"
        self.agents.mkdir()
        (self.agents / "clerk.toml").write_text(CLERK)
        (self.agents / "hasty.toml").write_text(HASTY)
        super().__init__(folder, "--agents", str(self.agents))

    def new_token(self, agent: str = "clerk", **options: Any) -> str:
        """A fresh call token, without the detour through a process of its own."""
        return token_for(self.folder / "data", agent, **options)

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
