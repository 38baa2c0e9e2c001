"""The asyncio side of the bridge, and the lanes between it and trio."""

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

import outcome

from offhook.actors.ports import BusAway
from offhook.services.bus.inbox import Inbox
from offhook.services.bus.nats import NatsBus

T = TypeVar("T")
Job = Callable[[], Any]


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


class BusThread:
    """The asyncio side: a bus, and the tasks that trio has asked for."""

    def __init__(self, bus: NatsBus, to_trio: Lane) -> None:
        self._loop = asyncio.get_running_loop()
        #: Without it tasks would inherit trio's context, and anyio would take this loop for trio's.
        self._context = contextvars.copy_context()
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
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._send())
                ready()
                await asyncio.Event().wait()
        finally:
            await self.flush()

    async def _send(self) -> None:
        while True:
            await self.outbox.wait_some()
            await self.flush()
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Publish what waits to be."""
        for subject, data in self.outbox.drain():
            with contextlib.suppress(BusAway):
                await self.bus.connection.publish(subject, data)

    async def enter(self, context: AbstractAsyncContextManager[None], held: list[asyncio.Task[None]]) -> None:
        """Enter ``context`` in a task of its own that is put into ``held``; cancelling that leaves the context.

        Who is cancelled while waiting here has given the context up: it is left again as soon as it is entered.
        """
        entered = self._loop.create_future()

        async def hold() -> None:
            try:
                async with context:
                    if entered.cancelled():
                        return
                    entered.set_result(None)
                    await asyncio.Event().wait()
            except Exception as error:
                # Before it is entered the error is the caller's, if there still is one; then it is a fault of ours.
                if not entered.done():
                    entered.set_exception(error)
                elif not entered.cancelled():
                    raise

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
        # What the caller published before goes first.
        await self._thread.flush()
        result = await outcome.acapture(self._work)
        self._thread.to_trio.post(partial(self._finish, result))
