"""Virtual time, one order of events for each seed, and processes that can be stopped between two steps.

``run`` runs an async function on trio with a clock that jumps to the next deadline as soon as nothing can run. trio
draws the order of the tasks that can run; here it draws from the seed, so a seed is one interleaving.

Tasks belong to the node in whose context they were started (``start_in``). The scheduler can hold a node: nothing of it
runs, while its timers expire and its sockets fill, as with a process that got SIGSTOP. A node that is held for good is
one that got SIGKILL.
"""

import gc
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import trio
from anyio.abc import TaskGroup
from trio._core import _run as trio_run

#: Name of the node that a task belongs to; empty for the world outside of the nodes.
NODE: ContextVar[str] = ContextVar("node", default="")


class VirtualClock(trio.abc.Clock):
    """Jumps to the next deadline when nothing can run."""

    def __init__(self) -> None:
        self._now = 0.0

    def start_clock(self) -> None:
        """See trio."""

    def current_time(self) -> float:
        """See trio."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """See trio, which asks only when no task can run."""
        if deadline == float("inf"):
            # Only something outside of the simulation can wake us: a thread, a socket.
            return deadline
        self._now = max(self._now, deadline)
        return 0.0


class Holds(deque[Any]):
    """trio's queue of tasks that can run, which keeps back those of held nodes."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, list[Any]] = {}

    def append(self, task: Any) -> None:
        """A task can run."""
        if self._held and (held := self._held.get(task.context.get(NODE, ""))) is not None:
            held.append(task)
        else:
            super().append(task)

    def hold(self, node: str) -> None:
        """Let nothing of ``node`` run."""
        waiting = list(self)
        self._held.setdefault(node, [])
        self.clear()
        for task in waiting:
            self.append(task)

    def holds(self, node: str) -> bool:
        """Whether ``node`` is held."""
        return node in self._held

    def release(self, node: str) -> None:
        """Let ``node`` run again."""
        for task in self._held.pop(node, ()):
            self.append(task)


def holds() -> Holds:
    """The queue of the running simulation."""
    queue = trio_run.GLOBAL_RUN_CONTEXT.runner.runq
    assert isinstance(queue, Holds)
    return queue


def is_held(node: str) -> bool:
    """Whether ``node`` is held; False outside of a simulation."""
    runner = getattr(trio_run.GLOBAL_RUN_CONTEXT, "runner", None)
    return runner is not None and isinstance(runner.runq, Holds) and runner.runq.holds(node)


def start_in(node: str, tasks: TaskGroup, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a task of ``node``; the tasks it starts are the node's too."""
    context = copy_context()
    context.run(NODE.set, node)
    context.run(lambda: tasks.start_soon(run))


def run(scenario: Callable[[], Awaitable[None]], *, seed: int = 0) -> None:
    """Run an async function in virtual time, in this thread. The same ``seed`` gives the same run."""

    async def main() -> None:
        trio_run.GLOBAL_RUN_CONTEXT.runner.runq = Holds()
        await scenario()

    before, state = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r.getstate()
    collecting = gc.isenabled()
    # When the collector runs depends on what ran before, and finalizers are tasks.
    gc.disable()
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    trio_run._r.seed(seed)
    try:
        trio.run(main, clock=VirtualClock())
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
        trio_run._r.setstate(state)
        if collecting:
            gc.enable()
