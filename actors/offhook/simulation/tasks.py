"""What the simulation's loop runs: tasks, the scopes in which they are cancelled, and the groups that they end in."""

import math
from collections.abc import Coroutine, Generator, Iterator
from contextvars import Context, ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import anyio

if TYPE_CHECKING:
    from offhook.simulation.loop import Loop

#: Name of the node that a task belongs to; empty for the world outside of the nodes.
NODE: ContextVar[str] = ContextVar("node", default="")


class Cancelled(BaseException):
    """Thrown into a task whose scope was cancelled. Clean up and let it pass."""


class _Park:
    """``await PARK`` gives control back to the loop, until somebody wakes the task."""

    _once = (None,)

    def __await__(self) -> Generator[None, None, None]:
        # The cheapest thing that gives control away once; what is thrown into the task is raised here.
        return iter(self._once)  # type: ignore[return-value]


PARK = _Park()


class Timed(Protocol):
    """What a timer can be set for. ``timer`` is the number of the timer that counts, 0 for none."""

    timer: int

    def fire(self) -> None:
        """The time has come."""


class Task:
    """A coroutine on its way."""

    __slots__ = (
        "context", "coroutine", "error", "group", "groups", "loop", "marked", "name", "node", "parked", "run", "scope",
        "send", "timer",
    )  # fmt: skip

    def __init__(
        self, loop: "Loop", coroutine: Coroutine[Any, Any, object], name: str, group: "Group | None", context: Context
    ) -> None:
        self.loop = loop
        self.coroutine = coroutine
        self.run = context.run
        self.send = coroutine.send
        self.name = name
        self.group = group
        self.context = context
        self.node = context.get(NODE, "")
        #: The innermost scope the task is in, and the groups it has open, outermost first.
        self.scope: Scope | None = group.scope if group is not None else None
        self.groups: list[Group] = []
        #: Where the task is to be taken out when it is cancelled while it is parked; None: it cannot be now.
        self.parked: dict[Task, None] | None = None
        #: What is thrown into it when it runs next.
        self.error: BaseException | None = None
        #: False: no scope around it was cancelled. True: one was, but a shield may be in between.
        self.marked = self.scope is not None and self.scope.is_cancelled()
        self.timer = 0

    def is_cancelled(self) -> bool:
        """Whether the task is to be thrown out of where it parks."""
        return self.marked and self.scope is not None and self.scope.is_cancelled()

    def check(self) -> None:
        """Raise ``Cancelled`` if the task is cancelled."""
        if self.marked and self.is_cancelled():
            raise Cancelled

    def cancel(self) -> None:
        """A scope around the task was cancelled."""
        self.marked = True
        if self.parked is not None and self.is_cancelled():
            self.parked.pop(self, None)
            self.timer = 0
            self.error = Cancelled()
            self.loop.wake(self)

    def fire(self) -> None:
        """The task has slept long enough."""
        self.timer = 0
        self.loop.wake(self)


class Scope(anyio.CancelScope):
    """A cancel scope."""

    __slots__ = ("_called", "_deadline", "_shield", "caught", "host", "loop", "parent", "timer")

    loop: "Loop"
    parent: "Scope | None"
    #: The task that is in the scope; None before and after.
    host: Task | None
    timer: int
    caught: bool
    _deadline: float
    _shield: bool
    _called: bool

    def __new__(cls, loop: "Loop", *, deadline: float = math.inf, shield: bool = False) -> Self:
        """Everything happens here: anyio's own class asks the backend for a scope, and initializes what it gets."""
        self = object.__new__(cls)
        self.loop, self._deadline, self._shield = loop, deadline, shield
        self.parent = self.host = None
        self.timer = 0
        self.caught = self._called = False
        return self

    def __init__(self, *_arguments: object, **_options: object) -> None:
        """See ``__new__``."""

    def __enter__(self) -> Self:
        self.host = task = self.loop.task
        self.parent = task.scope
        task.scope = self
        task.marked = task.marked or self._called
        if self._deadline != math.inf:
            self.loop.set_timer(self._deadline, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        rest = self.leave(error)
        if rest is error or rest is None:
            return error is not None and rest is None
        raise rest

    def leave(self, error: BaseException | None) -> BaseException | None:
        """The task leaves; returns what is left of ``error`` when this scope's cancellation is taken out of it."""
        task, parent = self.host, self.parent
        assert task is not None and task.scope is self
        task.scope, self.host, self.timer = parent, None, 0
        if task.marked:
            task.marked = parent is not None and parent.has_cancelled()
            outer = task.marked and not self._shield and parent is not None and parent.is_cancelled()
            if error is not None and self._called and not outer:
                rest = _without_cancelled(error)
                self.caught = rest is not error
                return rest
        return error

    def cancel(self, reason: str | None = None) -> None:
        """See anyio."""
        if not self._called:
            self._called = True
            self.timer = 0
            if self.host is not None:
                for task in self._tasks(self.host):
                    task.cancel()

    def fire(self) -> None:
        """The deadline has come."""
        self.cancel()

    def is_cancelled(self) -> bool:
        """Whether a task that has this as its innermost scope is cancelled."""
        scope: Scope | None = self
        while scope is not None:
            if scope._called:
                return True
            if scope._shield:
                return False
            scope = scope.parent
        return False

    def has_cancelled(self) -> bool:
        """Whether this scope or any around it was cancelled, shielded or not."""
        scope: Scope | None = self
        while scope is not None:
            if scope._called:
                return True
            scope = scope.parent
        return False

    def _tasks(self, host: Task) -> Iterator[Task]:
        """All tasks in this scope."""
        yield host
        # Backwards, from the innermost: those outside of this scope come last.
        for group in reversed(host.groups):
            scope: Scope | None = group.scope
            while scope is not self and scope is not None and scope.host is host:
                scope = scope.parent
            if scope is not self:
                return
            yield from group.tasks()

    @property
    def deadline(self) -> float:
        """See anyio."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline, self.timer = deadline, 0
        if self.host is not None and deadline != math.inf:
            self.loop.set_timer(deadline, self)

    @property
    def cancel_called(self) -> bool:
        """See anyio."""
        if self.host is not None and self.loop.now >= self._deadline:
            self.cancel()
        return self._called

    @property
    def cancelled_caught(self) -> bool:
        """See anyio."""
        return self.caught

    @property
    def shield(self) -> bool:
        """See anyio."""
        return self._shield

    @shield.setter
    def shield(self, shield: bool) -> None:
        self._shield = shield
        if not shield and self.host is not None:
            for task in self._tasks(self.host):
                if task.marked:
                    task.cancel()


def _without_cancelled(error: BaseException) -> BaseException | None:
    """``error`` without any ``Cancelled`` in it; None when nothing is left."""
    if isinstance(error, Cancelled):
        return None
    if isinstance(error, BaseExceptionGroup):
        cancelled, rest = error.split(Cancelled)
        return error if cancelled is None else rest
    return error


class Group:
    """Tasks that end before the one that opened the group goes on."""

    def __init__(self, loop: "Loop") -> None:
        self.loop = loop
        self.scope = Scope(loop)
        self.children: dict[Task, None] = {}
        self._errors: list[BaseException] = []
        self._cancelled = False
        #: The task that waits for the others to end, if it does.
        self._waiting: Task | None = None

    def open(self) -> None:
        """Begin, in the current task."""
        self.scope.__enter__()
        self.loop.task.groups.append(self)

    def tasks(self) -> Iterator[Task]:
        """The tasks of the group, and those of their groups."""
        for task in tuple(self.children):
            yield task
            for group in tuple(task.groups):
                yield from group.tasks()

    def ended(self, task: Task, error: BaseException | None) -> None:
        """A task of the group has ended."""
        del self.children[task]
        if isinstance(error, Cancelled):
            self._cancelled = True
        elif error is not None:
            self._errors.append(error)
            self.scope.cancel()
        self._go_on()

    def hand_over(self, group: "Group") -> None:
        """Make the one task of this group a task of another."""
        (task,) = self.children
        self.children = {}
        group.children[task] = None
        task.group = group
        if task.scope is self.scope:
            task.scope = group.scope
        else:
            scope = task.scope
            while scope is not None and scope.parent is not self.scope:
                scope = scope.parent
            assert scope is not None
            scope.parent = group.scope
        if group.scope.is_cancelled():
            task.cancel()
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting is not None and not self.children:
            host, self._waiting = self._waiting, None
            self.loop.wake(host)

    async def close(self, error: BaseException | None) -> bool:
        """Wait for all tasks; True when ``error`` is dealt with. Raises what went wrong in them, as a group."""
        if error is not None:
            self.scope.cancel()
            if isinstance(error, Cancelled):
                self._cancelled = True
            else:
                self._errors.append(error)
        # Not a place to be cancelled at: the tasks are, and that ends the wait.
        task = self.loop.task
        if self.children:
            self._waiting = task
        else:
            self.loop.wake(task)
        await PARK
        task.groups.remove(self)
        outcome: BaseException | None = None
        if self._errors:
            # Who catches errors does not catch a cancellation with them.
            self._errors += [Cancelled()] if self._cancelled else []
            outcome = BaseExceptionGroup("unhandled errors in a TaskGroup", self._errors)
        elif self._cancelled:
            outcome = error or Cancelled()
        rest = self.scope.leave(outcome)
        if rest is None:
            return True
        if rest is error:
            return False
        try:
            raise rest
        finally:
            # The exception keeps this frame: no circles through it.
            del outcome, rest, error
            self._errors = []
