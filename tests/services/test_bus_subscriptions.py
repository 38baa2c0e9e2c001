"""Subscriptions that begin and end while their bus is busy with something else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from nats.aio.client import Client

from offhook.services.bus import connection as connection_module
from offhook.services.bus import nats_server
from offhook.services.bus.connection import Connection
from offhook.services.bus.exchange import Reply
from offhook.services.bus.nats import open_nats
from offhook.services.bus.thread import BusThread, Lane

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("fails", [False, True])
async def test_who_gives_up_while_subscribing_harms_nobody_else(fails: bool) -> None:
    """A caller whose socket closes while its line to the bus is made."""
    # Nothing is published here, so that no bus is needed.
    thread = BusThread(cast(Any, None), Lane(lambda job: None))
    running = asyncio.create_task(thread.run(lambda: None))
    await asyncio.sleep(0)
    entering, go_on = asyncio.Event(), asyncio.Event()
    open_now = False

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        nonlocal open_now
        entering.set()
        await go_on.wait()
        if fails:
            raise OSError("too late")
        open_now = True
        yield
        open_now = False

    held: list[asyncio.Task[None]] = []
    waiting = asyncio.create_task(thread.enter(slow(), held))
    await entering.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    go_on.set()
    await asyncio.wait(held)
    await asyncio.wait([running], timeout=0.05)
    assert not running.done(), "the bus of all callers has ended"
    assert not open_now
    running.cancel()
    await asyncio.wait([running])


class Ears:
    """Subscriptions, each of which can be ended."""

    def __init__(self, connection: Connection) -> None:
        self.heard: list[str] = []
        self._connection = connection
        self._stacks: dict[str, AsyncExitStack] = {}

    async def open(self, subject: str) -> None:
        def receive(reply: Reply) -> None:
            self.heard.append(subject)

        stack = self._stacks[subject] = AsyncExitStack()
        await stack.enter_async_context(self._connection.listen(subject, "", receive))

    async def close(self, subject: str) -> None:
        await self._stacks.pop(subject).aclose()

    async def close_all(self) -> None:
        for subject in tuple(self._stacks):
            await self.close(subject)


async def lose(connection: Connection) -> None:
    """Cut the socket, and wait until there is another."""
    client = connection._client
    assert client is not None
    client._transport._io_writer.transport.abort()  # type: ignore[union-attr]
    async with asyncio.timeout(20):
        while connection._client is client:
            await asyncio.sleep(0.01)
        await connection.ready.wait()


@pytest.mark.parametrize("ends", ["a", "b", "c"])
async def test_a_subscription_that_ends_during_a_reconnection_deafens_no_other(
    ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is ended when ``b`` has been made again; ``b`` itself while it is made."""
    async with nats_server(tmp_path) as url, open_nats(url, name="test") as bus:
        connection = bus.connection
        ears = Ears(connection)
        for subject in ("a", "b", "c", "d"):
            await ears.open(subject)
        start = connection_module._Listener.start

        async def start_and_end_one(listener: connection_module._Listener, client: Client) -> None:
            if listener.subject == "b":
                await ears.close(ends)
            await start(listener, client)

        monkeypatch.setattr(connection_module._Listener, "start", start_and_end_one)
        await lose(connection)
        for subject in ("a", "b", "c", "d"):
            await connection.publish(subject, b"")
        await connection._wait_in_place()
        assert ears.heard == [subject for subject in ("a", "b", "c", "d") if subject != ends]
        await ears.close_all()
