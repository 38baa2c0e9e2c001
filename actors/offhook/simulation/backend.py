"""The simulation's loop as a backend of anyio: what actors await is simulated.

There are no sockets, files, threads or processes in virtual time. Work for a thread runs at once, in the one there is;
everything else that anyio offers and a simulation does not is refused with ``NotSimulated``.
"""

import math
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager
from contextvars import Context
from types import TracebackType
from typing import Any, Self

import anyio
import sniffio
from anyio import TaskInfo, lowlevel
from anyio._core import _eventloop, _synchronization, _tasks, _testing
from anyio._core._tasks import TaskHandle
from anyio.abc import AsyncBackend, TaskGroup, TaskStatus

from offhook.simulation.loop import Loop, running
from offhook.simulation.primitives import Event, Lock, checkpoint, sleep
from offhook.simulation.tasks import PARK, Cancelled, Group, Scope, Task

#: Modules of anyio that ask which loop runs.
_ASKING = (_eventloop, _synchronization, _tasks, _testing, lowlevel)
#: What ``sniffio`` calls the loop.
NAME = "offhook-simulation"


class NotSimulated(RuntimeError):
    """Something was asked for that does not exist in virtual time."""


class _Status(TaskStatus[Any]):
    """A task that is about to start, on its way from the group of its starter to the one it is started in."""

    def __init__(self, anteroom: Group, group: Group) -> None:
        self._anteroom = anteroom
        self._group = group
        self.started_once = False
        self.value: Any = None

    def started(self, value: Any = None) -> None:
        """See anyio."""
        if self.started_once:
            raise RuntimeError("called 'started' twice on the same task status")
        self.started_once, self.value = True, value
        if not self._anteroom.scope.is_cancelled():
            self._anteroom.hand_over(self._group)


class VirtualTaskGroup(TaskGroup):
    """See anyio."""

    def __init__(self, loop: Loop) -> None:
        self._group = Group(loop)
        self._open = False
        self.cancel_scope = self._group.scope

    async def __aenter__(self) -> Self:
        self._open = True
        self._group.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            return await self._group.close(error)
        finally:
            self._open = False

    def start_soon(  # type: ignore[override,misc]
        self, run: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any, name: object = None
    ) -> None:
        """See anyio, but for the handle: it would cost as much as the task."""
        self._spawn(run(*arguments), name or run)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: object = None, context: Context | None = None
    ) -> TaskHandle[Any]:
        """See anyio."""
        handle = TaskHandle(coro, name)
        self._spawn(handle._run_coro(), handle.name, context)
        return handle

    async def start(  # type: ignore[override]
        self, run: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any, name: object = None
    ) -> Any:
        """See anyio."""
        self._require_open()
        anteroom = Group(self._group.loop)
        status = _Status(anteroom, self._group)
        anteroom.open()
        anteroom.loop.spawn(run(*arguments, task_status=status), _name(name or run), anteroom)
        try:
            await anteroom.close(None)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if not status.started_once:
            raise RuntimeError("child exited without calling task_status.started()")
        return status.value

    def _require_open(self) -> None:
        if not self._open:
            raise RuntimeError("This task group is not active; no new tasks can be started.")

    def _spawn(self, coroutine: Coroutine[Any, Any, Any], name: object, context: Context | None = None) -> None:
        try:
            self._require_open()
        except RuntimeError:
            coroutine.close()
            raise
        self._group.loop.spawn(coroutine, _name(name), self._group, context)


def _name(name: object) -> str:
    return str(getattr(name, "__qualname__", name))


class _Info(TaskInfo):
    """What anyio's memory streams ask of a task."""

    def __init__(self, task: Task) -> None:
        super().__init__(id(task), None, task.name, task.coroutine)
        self._task = task

    def has_pending_cancellation(self) -> bool:
        return self._task.is_cancelled()


class VirtualBackend(AsyncBackend):
    """See anyio."""

    @classmethod
    def current_token(cls) -> object:
        """See anyio."""
        return running()

    @classmethod
    def current_time(cls) -> float:
        """Virtual seconds since the world began."""
        return running().now

    @classmethod
    def cancelled_exception_class(cls) -> type[BaseException]:
        """See anyio."""
        return Cancelled

    @classmethod
    def checkpoint(cls) -> Coroutine[Any, Any, None]:
        """See anyio."""
        return checkpoint()

    @classmethod
    async def checkpoint_if_cancelled(cls) -> None:
        """See anyio."""
        running().task.check()

    @classmethod
    async def cancel_shielded_checkpoint(cls) -> None:
        """See anyio."""
        loop = running()
        loop.wake(loop.task)
        await PARK

    @classmethod
    def sleep(cls, delay: float) -> Coroutine[Any, Any, None]:
        """See anyio."""
        return sleep(delay)

    @classmethod
    def create_cancel_scope(cls, *, deadline: float = math.inf, shield: bool = False) -> Scope:
        """See anyio."""
        return Scope(running(), deadline=deadline, shield=shield)

    @classmethod
    def current_effective_deadline(cls) -> float:
        """See anyio."""
        scope, nearest = running().task.scope, math.inf
        while scope is not None:
            if scope.cancel_called:
                return -math.inf
            nearest = min(nearest, scope.deadline)
            scope = None if scope.shield else scope.parent
        return nearest

    @classmethod
    def create_task_group(cls) -> TaskGroup:
        """See anyio."""
        return VirtualTaskGroup(running())

    @classmethod
    def create_event(cls) -> Event:
        """See anyio."""
        return Event()

    @classmethod
    def create_lock(cls, *, fast_acquire: bool) -> Lock:  # noqa: ARG003
        """See anyio."""
        return Lock()

    @classmethod
    async def run_sync_in_worker_thread(  # type: ignore[override]
        cls, func: Callable[..., Any], args: tuple[Any, ...], **_options: Any
    ) -> Any:
        """At once: in virtual time work takes none."""
        await checkpoint()
        return func(*args)

    @classmethod
    def get_current_task(cls) -> TaskInfo:
        """See anyio."""
        return _Info(running().task)


def _refuse_the_rest() -> None:
    def refusal(name: str) -> Any:
        def refuse(_cls: type, *_arguments: Any, **_options: Any) -> Any:
            raise NotSimulated(
                f"there is no {name} in virtual time: what needs a socket, a file, a process or a signal has to be a "
                "tool, which a test answers for, or to be given to the code under test"
            )

        return classmethod(refuse)

    for name in AsyncBackend.__abstractmethods__ - set(vars(VirtualBackend)):
        setattr(VirtualBackend, name, refusal(name))


_refuse_the_rest()
_BACKEND: type[AsyncBackend] = VirtualBackend  # type: ignore[type-abstract]
_eventloop.loaded_backends[NAME] = _BACKEND


def _current_time() -> float:
    return running().now


def _move_on_after(delay: float | None, shield: bool = False) -> Scope:
    loop = running()
    return Scope(loop, deadline=math.inf if delay is None else loop.now + delay, shield=shield)


@contextmanager
def _named() -> Generator[None]:
    """What asks which loop runs, is told ours. anyio asks at every turn: what is wanted most takes a shorter way."""
    asked = _eventloop.get_async_backend

    def answer(name: str | None = None) -> type[AsyncBackend]:
        return _BACKEND if name is None else asked(name)

    with ExitStack() as stack:
        replaced: list[tuple[Any, str, Any]] = [(module, "get_async_backend", answer) for module in _ASKING]
        shorter = [
            (anyio, "Event", Event),
            (anyio, "current_time", _current_time),
            (anyio, "move_on_after", _move_on_after),
            (anyio, "sleep", sleep),
            (lowlevel, "checkpoint", checkpoint),
        ]
        for place, name, value in [(sniffio.thread_local, "name", NAME), *replaced, *shorter]:
            stack.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, value)
        yield


def run(scenario: Callable[[], Awaitable[None]], *, seed: int) -> None:
    """Run an async function in virtual time, in this thread. Raises what it raises, ``Deadlock`` and ``Endless``."""

    async def main() -> None:
        await scenario()

    with _named():
        Loop(seed).run(main())
