"""A loop with virtual time and one order of events for each seed, which ``anyio`` runs on (see ``backend``).

Real loops are made to wait for sockets; most of their work for a simulated world is bookkeeping that a world does not
need. This one knows tasks, cancel scopes and timers, and nothing else. Its rules are trio's:

- A task runs until it parks. Those that can run form a batch; the order inside of a batch is drawn from the seed. What
  they wake runs in the next batch.
- When nothing can run, time jumps to the next timer. When there is none either, nothing can ever happen again: the
  run fails with ``Deadlock`` instead of hanging.
- Cancellation is a level, not an edge: a task in a cancelled scope is thrown out of wherever it parks, again and again,
  until it has left the scope. A cancelled scope swallows ``Cancelled`` unless a scope around it was cancelled too.

Tasks belong to the node in whose context they were started (``scheduler.start_in``). The loop can hold a node: nothing
of it runs, while its timers expire and its sockets fill, as with a process that got SIGSTOP. A node that is held for
good is one that got SIGKILL.
"""

import heapq
import math
import random
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator
from contextvars import Context, ContextVar, copy_context
from types import TracebackType
from typing import Any, Protocol, Self

import anyio

#: Name of the node that a task belongs to; empty for the world outside of the nodes.
NODE: ContextVar[str] = ContextVar("node", default="")


class Cancelled(BaseException):
    """Thrown into a task whose scope was cancelled. Clean up and let it pass."""


class Deadlock(RuntimeError):
    """Every task waits and no timer runs: nothing can ever happen again."""


class _Park:
    """``await PARK`` gives control back to the loop, until somebody wakes the task."""

    _once = (None,)

    def __await__(self) -> Generator[None, None, None]:
        # The cheapest thing that gives control away once; what is thrown into the task is raised here.
        return iter(self._once)  # type: ignore[return-value]


PARK = _Park()


class _Timed(Protocol):
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

    def __new__(cls, *_arguments: object, **_options: object) -> Self:
        """anyio's own class would ask the backend, which asks us."""
        return object.__new__(cls)

    def __init__(self, *, deadline: float = math.inf, shield: bool = False) -> None:
        self.loop = running()
        self.parent: Scope | None = None
        #: The task that is in the scope; None before and after.
        self.host: Task | None = None
        self.timer = 0
        self.caught = False
        self._deadline = deadline
        self._shield = shield
        self._called = False

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


def running() -> "Loop":
    """The loop that runs now."""
    loop = Loop.running
    assert loop is not None, "no simulation is running"
    return loop


class Group:
    """Tasks that end before the one that opened the group goes on."""

    def __init__(self, loop: "Loop") -> None:
        self.loop = loop
        self.scope = Scope()
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


class Loop:
    """Runs one scenario."""

    #: The loop that runs now, in this thread or any other: simulations are run one at a time.
    running: "Loop | None" = None

    def __init__(self, seed: int) -> None:
        #: Virtual seconds.
        self.now = 0.0
        #: The task that runs now.
        self.task: Task
        self._ready: list[Task] = []
        self._timers: list[tuple[float, int, _Timed]] = []
        self._numbers = 0
        self._held: dict[str, list[Task]] = {}
        self._bits = random.Random(seed).getrandbits  # noqa: S311 - it has to be the same each time

    # ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def spawn(
        self, coroutine: Coroutine[Any, Any, object], name: str, group: Group | None, context: Context | None = None
    ) -> Task:
        """Start a task; it runs in the next batch."""
        task = Task(self, coroutine, name, group, context or copy_context())
        if group is not None:
            group.children[task] = None
        self.wake(task)
        return task

    def wake(self, task: Task) -> None:
        """Let a parked task run in the next batch."""
        task.parked = None
        if self._held and (held := self._held.get(task.node)) is not None:
            held.append(task)
        else:
            self._ready.append(task)

    def set_timer(self, when: float, target: _Timed) -> None:
        """Call ``target.fire`` at ``when``, unless its ``timer`` has changed by then."""
        self._numbers += 1
        target.timer = self._numbers
        heapq.heappush(self._timers, (when, self._numbers, target))

    # ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self, node: str) -> None:
        """Let nothing of ``node`` run."""
        held = self._held.setdefault(node, [])
        held += [task for task in self._ready if task.node == node]
        self._ready = [task for task in self._ready if task.node != node]

    def holds(self, node: str) -> bool:
        """Whether ``node`` is held."""
        return node in self._held

    def release(self, node: str) -> None:
        """Let ``node`` run again."""
        self._ready += self._held.pop(node, ())

    # ── running ────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run to the end of ``coroutine``. Raises what it raises, and ``Deadlock``."""
        ended: list[BaseException | None] = []

        class Root(Group):
            def ended(self, task: Task, error: BaseException | None) -> None:
                ended.append(error)

        before, hooks = Loop.running, sys.get_asyncgen_hooks()
        Loop.running = self
        sys.set_asyncgen_hooks(firstiter=None, finalizer=_close_generator)
        try:
            root = self.spawn(coroutine, "the scenario", None)
            root.group = Root(self)
            while not ended:
                self._run_batch()
        finally:
            Loop.running = before
            sys.set_asyncgen_hooks(*hooks)
        if ended[0] is not None:
            raise ended[0]

    def _run_batch(self) -> None:
        timers = self._timers
        while timers and timers[0][2].timer != timers[0][1]:
            heapq.heappop(timers)
        if not self._ready:
            if not timers:
                raise Deadlock("every task waits and no timer runs: nothing can ever happen again")
            self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            _, number, target = heapq.heappop(timers)
            if target.timer == number:
                target.fire()
        batch, self._ready = self._ready, []
        if len(batch) > 1:
            self._shuffle(batch)
        for task in batch:
            if self._held and task.node in self._held:
                # Held by a task of this very batch.
                self._held[task.node].append(task)
            else:
                self._step(task)

    def _shuffle(self, batch: list[Task]) -> None:
        """An order from the seed: the digits of a number, in a base that changes with each place (Fisher-Yates)."""
        if len(batch) == 2:
            if self._bits(1):
                batch.reverse()
            return
        number = self._bits(64)
        for place in range(len(batch) - 1, 0, -1):
            number, other = divmod(number, place + 1)
            batch[place], batch[other] = batch[other], batch[place]
            if number < len(batch):
                number = self._bits(64)

    def _step(self, task: Task) -> None:
        self.task = task
        try:
            if task.error is None:
                task.run(task.send, None)
            else:
                error, task.error = task.error, None
                task.run(task.coroutine.throw, error)
        except StopIteration:
            outcome = None
        except BaseException as raised:
            outcome = raised
        else:
            return
        assert task.group is not None
        task.group.ended(task, outcome)


def _close_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """An asynchronous generator was dropped before its end: let it clean up, as far as it can without waiting."""
    closing = generator.aclose()
    try:
        closing.send(None)
        closing.throw(Cancelled())
    except (StopIteration, Cancelled):
        pass
