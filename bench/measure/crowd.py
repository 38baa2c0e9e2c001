"""Callers that come and go for a while, in a process of their own.

So many calls at any time; each is of a kind drawn from a seed, lasts a while, and ends in one of the ways calls end.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
from wsproto.utilities import LocalProtocolError

from measure.caller import speak
from measure.light_caller import LightCaller, encode

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests" / "wire"))
from gateway_client import GatewayClient, open_client, token_for

#: What calls are, of a hundred: an echo, an agent that listens to silence, a conversation.
KINDS = {"echo": 55, "listening": 37, "conversation": 8}
#: How calls end that do not end by a goodbye: hung up, cut off without a word, the socket cut first.
ENDINGS = {"hang_up": 90, "vanish": 5, "drop": 5}
#: Seconds a call lasts, least and most.
LENGTH = (5.0, 60.0)
#: Seconds between two calls of one line.
PAUSE = (0.2, 2.0)
#: Sentences of trouble that are kept.
MAX_TROUBLE = 20


class CrowdReport(msgspec.Struct):
    """What has come of it."""

    #: Calls by kind and ending.
    calls: dict[str, int] = {}
    #: Seconds from the offer to the encrypted path.
    setup: list[float] = []
    #: 20 ms packets that came, of those that should have.
    arrived: float = 0.0
    trouble: list[str] = []

    def plus(self, other: "CrowdReport") -> "CrowdReport":
        """Both, one after the other; they are taken for equally long."""
        return CrowdReport(
            dict(Counter(self.calls) + Counter(other.calls)),
            self.setup + other.setup,
            round((self.arrived + other.arrived) / 2, 4),
            self.trouble + other.trouble,
        )


def run_crowd(url: str, data: str, calls: int, seconds: float, seed: int, pipe: Connection) -> None:
    """Call for ``seconds``; then tells the ``CrowdReport`` (msgpack) through the pipe."""
    pipe.send_bytes(msgspec.msgpack.encode(asyncio.run(_Crowd(url, Path(data), seed).run(calls, seconds))))


class _Crowd:
    def __init__(self, url: str, data: Path, seed: int) -> None:
        self._url = url
        self._data = data
        self._chance = random.Random(seed)
        # One second and a bit of noise is silence for a recognizer, and no digital zero.
        self._silence = encode(bytes(640 * 50))
        self._question, self._goodbye = (
            encode(bytes(640 * 10) + speak(text) + bytes(640 * 10))
            for text in ("what are your opening hours", "good bye")
        )
        self._done: Counter[str] = Counter()
        self._setup: list[float] = []
        self._came = self._due = 0.0
        self._trouble: list[str] = []

    async def run(self, calls: int, seconds: float) -> CrowdReport:
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as lines:
            for _ in range(calls):
                lines.create_task(self._line(until))
        arrived = self._came / self._due if self._due else 0.0
        return CrowdReport(dict(self._done), self._setup, round(arrived, 4), self._trouble)

    async def _line(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(self._chance.uniform(*PAUSE))
            (kind,) = self._chance.choices(list(KINDS), list(KINDS.values()))
            (ending,) = self._chance.choices(list(ENDINGS), list(ENDINGS.values()))
            length = self._chance.uniform(*LENGTH)
            try:
                await self._call(kind, ending, length)
            except (AssertionError, TimeoutError, OSError, LocalProtocolError) as error:
                self._done["failed"] += 1
                if len(self._trouble) < MAX_TROUBLE:
                    self._trouble.append(f"{kind}, {ending}: {error!r}"[:500])

    async def _call(self, kind: str, ending: str, length: float) -> None:
        agent = "clerk" if kind == "conversation" else "patient"
        members: dict[str, Any] = {"mode": "echo"} if kind == "echo" else {"events": True}
        async with open_client(self._url) as client:
            caller = LightCaller(self._silence)
            await client.caller.close()
            client.caller = caller  # type: ignore[assignment]  # it has what the client needs
            begun = time.monotonic()
            await client.call(token_for(self._data, agent), **members)
            self._setup.append(round(time.monotonic() - begun, 4))
            begun = time.monotonic()
            before = caller.arrivals.packets
            if kind == "conversation":
                ending = await self._talk(client, caller, length)
            else:
                await asyncio.sleep(length)
                assert client.closed is None, f"the server ended the call: {client.frames[-2:]}"
                self._came += caller.arrivals.packets - before
                self._due += (time.monotonic() - begun) * 50
                await self._end(client, caller, ending)
            self._done[f"{kind}, {ending}"] += 1

    async def _talk(self, client: GatewayClient, caller: LightCaller, length: float) -> str:
        until = time.monotonic() + length
        await client.hears("yes?")
        while time.monotonic() < until:
            caller.say(self._question)
            await client.hears("nine to five", 40)
        caller.say(self._goodbye)
        await client.wait_event("ended", 40)
        await client.wait_closed()
        return "goodbye"

    async def _end(self, client: GatewayClient, caller: LightCaller, ending: str) -> None:
        match ending:
            case "hang_up":
                await client.hang_up()
            case "vanish":
                caller.vanish()
                client.drop()
            case "drop":
                client.drop()
                await asyncio.sleep(1)
