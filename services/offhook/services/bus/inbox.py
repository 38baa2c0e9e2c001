"""Inbox: what a subscriber has not read yet, filled from this thread or another."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

T = TypeVar("T")


def _here(job: Callable[[], None]) -> None:
    job()


class Inbox(Generic[T]):
    """A queue that never makes its writer wait; beyond ``depth`` items the oldest are dropped.

    ``put`` may run in another thread than the reader when ``run`` carries a job over to the reader's thread.
    """

    def __init__(self, *, depth: int | None = None, run: Callable[[Callable[[], None]], None] = _here) -> None:
        self._items: deque[T] = deque(maxlen=depth)
        self._arrived = anyio.Event()
        self._run = run
        #: A wake-up is on its way: one is enough for any number of items.
        self._waking = False

    def put(self, item: T) -> None:
        """Add an item."""
        self._items.append(item)
        if not self._waking:
            self._waking = True
            self._run(self._wake)

    def _wake(self) -> None:
        self._waking = False
        self._arrived.set()

    def drain(self, most: int | None = None) -> list[T]:
        """Take what is there, the oldest first; no more than ``most``."""
        there = len(self._items)
        return [self._items.popleft() for _ in range(there if most is None else min(most, there))]

    def __len__(self) -> int:
        return len(self._items)

    async def wait_some(self) -> None:
        """Wait until there is something to take."""
        while not self._items:
            # An item that comes from another thread from here on is not missed: its wake-up runs in this thread, so
            # not before the wait below, and finds this event.
            self._arrived = anyio.Event()
            await self._arrived.wait()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        """The next item; waits for it."""
        await anyio.lowlevel.checkpoint()
        await self.wait_some()
        return self._items.popleft()
