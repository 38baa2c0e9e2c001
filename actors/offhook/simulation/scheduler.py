"""Running a scenario in virtual time, and the processes in it that can be stopped between two steps."""

import gc
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from anyio.abc import TaskGroup

from offhook.simulation import backend
from offhook.simulation.loop import Deadlock, Endless, Loop, running
from offhook.simulation.tasks import NODE

__all__ = ["NODE", "Deadlock", "Endless", "collector_off", "holds", "is_held", "run", "start_in"]


def holds() -> Loop:
    """The running loop, which can hold nodes."""
    return running()


def is_held(node: str) -> bool:
    """Whether ``node`` is held; False outside of a simulation."""
    return Loop.running is not None and Loop.running.holds(node)


def start_in(node: str, tasks: TaskGroup, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a task of ``node``; the tasks it starts are the node's too."""
    context = copy_context()
    context.run(NODE.set, node)
    context.run(lambda: tasks.start_soon(run))


@contextmanager
def collector_off() -> Generator[None]:
    """No garbage is collected: when that happens depends on what ran before, and finalizers have effects."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def run(scenario: Callable[[], Awaitable[None]], *, seed: int = 0) -> None:
    """Run an async function in virtual time, in this thread. The same ``seed`` gives the same run.

    Raises what it raises, ``Deadlock`` and ``Endless``.
    """
    with collector_off():
        backend.run(scenario, seed=seed)
