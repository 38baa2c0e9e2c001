"""The bus on NATS, for a trio process: nats-py runs in a thread with an asyncio loop.

Between the two run lanes: queues whose reader is woken once for any number of jobs. A call becomes a task over there;
cancelling it here cancels it there, without waiting for that. What is published takes the lane one way only: whether
the bus is up is looked at before, and a message that finds it away afterwards is lost, as core NATS would lose it.
"""

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import outcome
import trio
import uvloop

from offhook.actors.ports import BusAway, Delivery, Stored
from offhook.services.bus.background import background
from offhook.services.bus.follow import LogDelivery
from offhook.services.bus.inbox import Inbox
from offhook.services.bus.nats import DEPTH, NatsBus, open_nats

T = TypeVar("T")
Job = Callable[[], Any]

#: Messages on their way to the thread before ``publish`` waits for it to catch up.
MAX_UNSENT = 4096


class Lane:
    """Jobs for another thread: any number of them wakes it once."""

    def __init__(self, wake: Callable[[Job], Any]) -> None:
        self._wake = wake
        self._jobs: deque[Job] = deque()
        self._waking = False

    def post(self, job: Job) -> None:
        """Have ``job`` run over there, after those that were posted before."""
        self._jobs.append(job)
        if not self._waking:
            self._waking = True
            self._wake(self._run)

    def _run(self) -> None:
        # First, so that a job posted from here on wakes again; at worst for nothing.
        self._waking = False
        while self._jobs:
            self._jobs.popleft()()


class _Closed(Exception):
    """The trio side has left: ends the tasks of the asyncio side."""


class BusThread:
    """The asyncio side: a bus, and the tasks that trio has asked for."""

    def __init__(self, bus: NatsBus, to_trio: Lane) -> None:
        self._loop = asyncio.get_running_loop()
        #: Without it tasks would inherit trio's context, and anyio would take this loop for trio's.
        self._context = contextvars.copy_context()
        self._closed = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self.bus = bus
        self.to_trio = to_trio
        self.to_asyncio = Lane(self._wake)
        #: What trio publishes.
        self.outbox = Inbox[tuple[str, bytes]](run=self.to_asyncio.post)

    def _wake(self, job: Job) -> None:
        # After a crash of this side trio may still post, to clean up: the loop is closed then.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(job, context=self._context)

    async def run(self, ready: Job) -> None:
        """Work until ``close`` is called."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._send())
                ready()
                await self._closed.wait()
                raise _Closed
        except* _Closed:
            pass

    def close(self) -> None:
        """End ``run``. From trio."""
        self.to_asyncio.post(self._closed.set)

    async def _send(self) -> None:
        while True:
            await self.outbox.wait_some()
            for subject, data in self.outbox.drain():
                with contextlib.suppress(BusAway):
                    await self.bus.connection.publish(subject, data)
            await asyncio.sleep(0)

    async def enter(self, context: AbstractAsyncContextManager[None], held: list[asyncio.Task[None]]) -> None:
        """Enter ``context`` in a task of its own that is put into ``held``; cancelling that leaves the context."""
        entered = self._loop.create_future()

        async def hold() -> None:
            try:
                async with context:
                    entered.set_result(None)
                    await asyncio.Event().wait()
            except Exception as error:
                # Before it is entered the error is the caller's; afterwards it is a fault of ours.
                if entered.done():
                    raise
                entered.set_exception(error)

        held.append(self._tasks.create_task(hold()))
        await entered

    def start(self, work: Callable[[], Awaitable[T]], finish: Callable[[outcome.Outcome[T]], None]) -> "Running":
        """Run ``work`` as a task and have ``finish`` called in trio. From trio."""
        running = Running(self, work, finish)
        self.to_asyncio.post(running.begin)
        return running

    def spawn(self, job: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a task of this side."""

        async def run() -> None:
            await job()

        return self._tasks.create_task(run())


class Running:
    """A task of the asyncio side that trio waits for."""

    def __init__(
        self, thread: BusThread, work: Callable[[], Awaitable[T]], finish: Callable[[outcome.Outcome[T]], None]
    ) -> None:
        self._thread = thread
        self._work = work
        self._finish = finish
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = self._thread.spawn(self._run)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        result = await outcome.acapture(self._work)
        self._thread.to_trio.post(partial(self._finish, result))


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
    async def follow(self, subjects: str, *, reader: str) -> AsyncIterator[AsyncIterator[Delivery]]:
        """See ``Bus`` and ``NatsBus.follow``."""
        puller = self._bus.puller(subjects, reader)
        inbox = Inbox[LogDelivery](
            run=self._thread.to_trio.post, emptied=partial(self._thread.to_asyncio.post, puller.more)
        )
        async with self._held(self._bus.pulling(puller, inbox, self.publish)):
            yield inbox

    async def append(self, subject: str, data: bytes, *, last: int) -> int:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.append(subject, data, last=last))

    async def read_log(self, subject: str) -> list[Stored]:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.read_log(subject))

    async def create(self, key: str, value: bytes) -> int:
        """See ``Bus``."""
        return await self._call(lambda: self._bus.create(key, value))

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
    token = trio.lowlevel.current_trio_token()
    to_trio = Lane(token.run_sync_soon)
    opened = trio.Event()
    thread: BusThread | None = None
    failure: Exception | None = None

    async def serve() -> None:
        nonlocal thread, failure
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

    async def run() -> None:
        # A limiter of its own: the thread stays and takes no place from others.
        await trio.to_thread.run_sync(uvloop.run, serve(), limiter=trio.CapacityLimiter(1))

    async with background(run):
        with trio.CancelScope(shield=True):
            await opened.wait()
        if thread is None:
            assert failure is not None
            raise failure
        try:
            yield BridgeBus(thread)
        finally:
            thread.close()
