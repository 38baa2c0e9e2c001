"""The bus on NATS, for a trio process: nats-py runs in a thread with an asyncio loop.

Between the two run lanes: queues whose reader is woken once for any number of jobs. A call becomes a task over there;
cancelling it here cancels it there, without waiting for that. What is published takes the lane one way only: whether
the bus is up is looked at before, and a message that finds it away afterwards is lost, as core NATS would lose it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeVar

import outcome
import trio
import uvloop

from offhook.actors.ports import Batch, Stored
from offhook.services.bus.background import background
from offhook.services.bus.exchange import Reply
from offhook.services.bus.follow import Batches
from offhook.services.bus.inbox import Inbox
from offhook.services.bus.nats import DEPTH, open_nats
from offhook.services.bus.thread import BusThread, Job, Lane

T = TypeVar("T")

#: Messages on their way to the thread before ``publish`` waits for it to catch up.
MAX_UNSENT = 4096


class BridgeBus:
    """``Bus`` in trio, on a ``BusThread``."""

    def __init__(self, thread: BusThread) -> None:
        self._thread = thread
        self._bus = thread.bus

    async def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await ``work`` over there."""
        caller = trio.lowlevel.current_task()
        waiting = True

        def finish(result: outcome.Outcome[T]) -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                trio.lowlevel.reschedule(caller, result)

        def abort(_: object) -> trio.lowlevel.Abort:
            nonlocal waiting
            waiting = False
            self._thread.to_asyncio.post(running.cancel)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.checkpoint_if_cancelled()
        running = self._thread.start(work, finish)
        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    @asynccontextmanager
    async def _held(self, context: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
        """Hold a context of the asyncio side open."""
        held: list[asyncio.Task[None]] = []

        def release() -> None:
            for task in held:
                task.cancel()

        try:
            await self._call(lambda: self._thread.enter(context, held))
            yield
        finally:
            self._thread.to_asyncio.post(release)

    async def publish(self, subject: str, data: bytes) -> None:
        """See ``Bus``."""
        self._bus.connection.check(subject, data)
        self._thread.outbox.put((subject, data))
        await trio.lowlevel.checkpoint()
        while len(self._thread.outbox) > MAX_UNSENT:
            await self._call(lambda: asyncio.sleep(0))

    @asynccontextmanager
    async def subscribe(self, subject: str, *, group: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """See ``Bus``. Raises ``BusAway`` on entering; what is published while the bus is away is lost."""
        inbox = Inbox[bytes](depth=DEPTH, run=self._thread.to_trio.post)
        listening = self._bus.connection.listen(subject, group or "", lambda reply: inbox.put(reply.data))
        async with self._held(listening):
            yield inbox

    @asynccontextmanager
    async def follow(self, subjects: str, *, reader: str) -> AsyncIterator[AsyncIterator[Batch]]:
        """See ``Bus`` and ``NatsBus.follow``."""
        puller = self._bus.puller(subjects, reader)
        inbox = Inbox[Reply](run=self._thread.to_trio.post)

        async def acknowledge(receipts: Sequence[str]) -> None:
            await self._call(lambda: puller.acknowledge(receipts))

        async with self._held(puller.pulling(inbox)):
            yield Batches(inbox, partial(self._thread.to_asyncio.post, puller.more), acknowledge)

    async def append(self, subject: str, data: bytes, *, last: int) -> int:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.append(subject, data, last=last))

    async def read_log(self, subject: str) -> list[Stored]:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.read_log(subject))

    async def erase_log(self, subject: str) -> int:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.erase_log(subject))

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> int:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.create(key, value, ttl=ttl))

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.update(key, value, revision=revision))

    async def delete(self, key: str, *, revision: int) -> None:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.delete(key, revision=revision))

    async def get(self, key: str) -> Stored | None:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.get(key))

    async def keys(self, prefix: str) -> list[Stored]:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.keys(prefix))


@asynccontextmanager
async def open_bridge(
    url: str, *, name: str, replicas: int = 1, ack_wait: float = 30.0, wait: float = 15.0
) -> AsyncIterator[BridgeBus]:
    """A bus on NATS for trio; see ``open_bus``."""
    to_trio = Lane(trio.lowlevel.current_trio_token().run_sync_soon)
    began, opened = trio.Event(), trio.Event()
    stop: Job
    thread: BusThread | None = None
    failure: Exception | None = None

    async def serve() -> None:
        nonlocal stop, thread, failure
        stop = partial(asyncio.get_running_loop().call_soon_threadsafe, asyncio.current_task().cancel)  # type: ignore[union-attr]
        to_trio.post(began.set)
        try:
            async with open_nats(url, name=name, replicas=replicas, ack_wait=ack_wait, wait=wait) as bus:
                thread = BusThread(bus, to_trio)
                await thread.run(ready=partial(to_trio.post, opened.set))
        except Exception as error:
            # Until it is open the error is the caller's; afterwards it is a fault of ours.
            if thread is not None:
                raise
            failure = error
            to_trio.post(opened.set)

    def run_loop() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            uvloop.run(serve())

    async def run() -> None:
        # A limiter of its own: the thread stays and takes no place from others.
        await trio.to_thread.run_sync(run_loop, limiter=trio.CapacityLimiter(1))

    async with background(run):
        with trio.CancelScope(shield=True):
            await began.wait()
        try:
            await opened.wait()
            if thread is None:
                assert failure is not None
                raise failure
            yield BridgeBus(thread)
        finally:
            # The loop is closed already if the other side failed.
            with contextlib.suppress(RuntimeError):
                stop()
