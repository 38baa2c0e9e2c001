"""What tasks wait for and with, in virtual time: checkpoints, events, naps and locks."""

import math
from typing import Self

import anyio

from offhook.simulation.loop import running
from offhook.simulation.tasks import PARK, Task


async def checkpoint() -> None:
    """Let others run; raise ``Cancelled`` if the task is cancelled."""
    loop = running()
    task = loop.task
    loop.wake(task)
    await PARK
    if task.marked:
        task.check()


async def sleep(delay: float) -> None:
    """Park for ``delay`` virtual seconds."""
    if delay <= 0:
        return await checkpoint()
    loop = running()
    task = loop.task
    task.check()
    if delay != math.inf:
        loop.set_timer(loop.now + delay, task)
    task.parked = {}
    return await PARK


class Event(anyio.Event):
    """See anyio."""

    __slots__ = ("_set", "_waiting")

    _set: bool
    _waiting: dict[Task, None]

    def __new__(cls) -> Self:
        """anyio's own class would ask the backend, which asks us."""
        event = object.__new__(cls)
        event._set = False
        event._waiting = {}
        return event

    def set(self) -> None:
        """See anyio."""
        self._set = True
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for task in waiting:
                task.loop.wake(task)

    def is_set(self) -> bool:
        """See anyio."""
        return self._set

    async def wait(self) -> None:
        """See anyio."""
        if self._set:
            return await checkpoint()
        task = running().task
        if task.marked:
            task.check()
        self._waiting[task] = None
        task.parked = self._waiting
        return await PARK

    def statistics(self) -> anyio.EventStatistics:
        """See anyio."""
        return anyio.EventStatistics(tasks_waiting=len(self._waiting))


class Nap:
    """Sleep of one task that anybody can end: what an event in a scope with a deadline is, for less."""

    def __init__(self) -> None:
        self._task: Task | None = None

    async def until(self, deadline: float) -> None:
        """Sleep; ``deadline`` is a time of the loop."""
        loop = running()
        self._task = task = loop.task
        task.check()
        if deadline != math.inf:
            loop.set_timer(deadline, task)
        task.parked = {}
        try:
            await PARK
        finally:
            self._task = None

    def end(self) -> None:
        """Wake the task if it sleeps."""
        task, self._task = self._task, None
        if task is not None and task.parked is not None:
            task.timer = 0
            task.loop.wake(task)


class Lock(anyio.Lock):
    """See anyio. Fair: who waits longest is next."""

    __slots__ = ("_owner", "_waiting")

    _owner: Task | None
    _waiting: dict[Task, None]

    def __new__(cls) -> Self:
        """anyio's own class would ask the backend, which asks us."""
        lock = object.__new__(cls)
        lock._owner = None
        lock._waiting = {}
        return lock

    async def acquire(self) -> None:
        """See anyio."""
        task = running().task
        task.check()
        if self._owner is None:
            self._owner = task
            task.loop.wake(task)
            return await PARK
        if self._owner is task:
            raise RuntimeError("Attempted to acquire an already held Lock")
        self._waiting[task] = None
        task.parked = self._waiting
        return await PARK

    def acquire_nowait(self) -> None:
        """See anyio."""
        if self._owner is not None:
            raise anyio.WouldBlock
        self._owner = running().task

    def release(self) -> None:
        """See anyio."""
        if self._owner is not running().task:
            raise RuntimeError("The current task is not holding this lock")
        self._owner = next(iter(self._waiting), None)
        if self._owner is not None:
            del self._waiting[self._owner]
            self._owner.loop.wake(self._owner)

    def locked(self) -> bool:
        """See anyio."""
        return self._owner is not None
