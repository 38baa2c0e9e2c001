"""A loop with virtual time and one order of events for each seed, which ``anyio`` runs on (see ``backend``).

Real loops are made to wait for sockets; most of their work for a simulated world is bookkeeping that a world does not
need. This one knows tasks, cancel scopes and timers, and nothing else. Its rules are trio's:

- A task runs until it parks. Those that can run form a batch; the order inside of a batch is drawn from the seed. What
  they wake runs in the next batch.
- When nothing can run, time jumps to the next timer. When there is none either, nothing can ever happen again: the
  run fails with ``Deadlock`` instead of hanging. One that is never at its end fails with ``Endless``.
- Cancellation is a level, not an edge: a task in a cancelled scope is thrown out of wherever it parks, again and again,
  until it has left the scope. A cancelled scope swallows ``Cancelled`` unless a scope around it was cancelled too.

Tasks belong to the node in whose context they were started (``scheduler.start_in``). The loop can hold a node: nothing
of it runs, while its timers expire and its sockets fill, as with a process that got SIGSTOP. A node that is held for
good is one that got SIGKILL.
"""

import heapq
import random
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextvars import Context, copy_context
from typing import Any

from offhook.simulation.tasks import Cancelled, Group, Task, Timed

#: Virtual seconds that a scenario may take: half a day.
MOST_SECONDS = 43_200.0


class Deadlock(RuntimeError):
    """Every task waits and no timer runs: nothing can ever happen again."""


class Endless(RuntimeError):
    """Virtual time went on beyond ``MOST_SECONDS``, and the scenario was not at its end."""


def running() -> "Loop":
    """The loop that runs now."""
    loop = Loop.running
    assert loop is not None, "no simulation is running"
    return loop


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
        self._timers: list[tuple[float, int, Timed]] = []
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

    def set_timer(self, when: float, target: Timed) -> None:
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
        """Run to the end of ``coroutine``. Raises what it raises, ``Deadlock`` and ``Endless``."""
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
        if not self._ready:
            while timers and timers[0][2].timer != timers[0][1]:
                heapq.heappop(timers)
            if not timers:
                raise Deadlock("every task waits and no timer runs: nothing can ever happen again")
            self.now = max(self.now, timers[0][0])
            if self.now > MOST_SECONDS:
                raise Endless(f"the scenario goes on after {MOST_SECONDS:g} virtual seconds: bound what it waits for")
        while timers and timers[0][0] <= self.now:
            _, number, target = heapq.heappop(timers)
            if target.timer == number:
                target.fire()
        batch, self._ready = self._ready, []
        if len(batch) > 1:
            self._shuffle(batch)
        held, step = self._held, self._step
        for task in batch:
            if held and task.node in held:
                # Held by a task of this very batch.
                held[task.node].append(task)
            else:
                step(task)

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
        outcome: BaseException | None = None
        try:
            if task.error is None:
                task.run(task.send, None)
            else:
                thrown, task.error = [task.error], None
                task.run(task.coroutine.throw, thrown.pop())
        except StopIteration:
            pass
        except BaseException as raised:
            outcome = raised
        else:
            return
        assert task.group is not None
        task.group.ended(task, outcome)
        # Its traceback holds this frame; the frame holds none of the two, so that there are no circles to collect.
        outcome = None


def _close_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """An asynchronous generator was dropped before its end: let it clean up, as far as it can without waiting."""
    closing = generator.aclose()
    try:
        closing.send(None)
        closing.throw(Cancelled())
    except (StopIteration, Cancelled):
        pass
