"""The simulation's loop keeps the promises of anyio: the same programs do the same on it and on trio."""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest
import sniffio
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.simulation.backend import NotSimulated
from offhook.simulation.scheduler import Deadlock, Endless, holds, run, start_in

Scenario = Callable[[], Awaitable[None]]


def run_on_trio(scenario: Scenario) -> None:
    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.fixture(params=[run, run_on_trio], ids=["simulation", "trio"])
def simulate(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    runner: Callable[[Scenario], None] = request.param
    return runner


# ── any program ────────────────────────────────────────────────────────────────────────────────────────────────────


class Boom(Exception):
    """What programs raise."""


class Step(msgspec.Struct, frozen=True):
    """A program. ``number`` is its own, so that no two moments of a run coincide and labels are unique."""

    kind: str
    number: int
    seconds: int = 0
    parts: tuple["Step", ...] = ()

    @property
    def delay(self) -> float:
        """Sums of these are unique, as numbers in base two are."""
        return self.seconds + 2.0 ** -(10 + self.number)


@st.composite
def programs(draw: st.DrawFn) -> Step:
    numbers = iter(range(32))

    def leaf() -> Step:
        kind = draw(st.sampled_from(["sleep", "sleep", "fail", "cancel", "cancel"]))
        return Step(kind, next(numbers), draw(st.integers(0, 3)))

    def tree(depth: int) -> Step:
        if depth == 0:
            return leaf()
        kind = draw(st.sampled_from(["in turn", "together", "within", "shielded", "caught", "tidied", "started"]))
        parts = 1 if kind in {"within", "shielded", "caught"} else 2
        number, seconds = next(numbers), draw(st.integers(0, 4))
        return Step(kind, number, seconds, tuple(tree(depth - 1) for _ in range(parts)))

    return tree(draw(st.integers(1, 4)))


class Play:
    """Plays a program and notes what happened when."""

    def __init__(self) -> None:
        self.notes: list[tuple[float, str]] = []

    def note(self, step: Step, what: str) -> None:
        self.notes.append((anyio.current_time() - self.began, f"{step.number} {step.kind} {what}"))

    async def run(self, program: Step) -> None:
        self.began = anyio.current_time()
        try:
            with anyio.CancelScope() as scope:
                await self.play(program, [scope])
            self.note(program, f"over, cancelled {scope.cancelled_caught}")
        except (Boom, BaseExceptionGroup) as error:
            self.note(program, f"raised {sorted(leaves(error))}")

    async def play(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        self.note(step, "begins")
        try:
            await getattr(self, f"_{step.kind.replace(' ', '_')}")(step, scopes)
        except anyio.get_cancelled_exc_class():
            self.note(step, "is cancelled")
            raise
        self.note(step, "ends")

    async def _sleep(self, step: Step, _scopes: object) -> None:
        await anyio.sleep(step.delay)

    async def _fail(self, step: Step, _scopes: object) -> None:
        await anyio.sleep(step.delay)
        raise Boom(str(step.number))

    async def _cancel(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        await anyio.sleep(step.delay)
        scopes[step.seconds % len(scopes)].cancel()

    async def _in_turn(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        for part in step.parts:
            await self.play(part, scopes)

    async def _together(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        async with anyio.create_task_group() as tasks:
            for part in step.parts:
                tasks.start_soon(self.play, part, [*scopes, tasks.cancel_scope])

    async def _started(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        async def go(*, task_status: anyio.abc.TaskStatus[int]) -> None:
            await self.play(step.parts[0], scopes)
            task_status.started(step.number)
            await self.play(step.parts[1], [*scopes, tasks.cancel_scope])

        async with anyio.create_task_group() as tasks:
            assert await tasks.start(go) == step.number
            self.note(step, "has started")

    async def _within(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        with anyio.move_on_after(step.delay) as scope:
            await self.play(step.parts[0], [*scopes, scope])
        self.note(step, f"timed out {scope.cancelled_caught}")

    async def _shielded(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        with anyio.CancelScope(shield=True) as scope:
            await self.play(step.parts[0], [*scopes, scope])

    async def _caught(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        try:
            await self.play(step.parts[0], scopes)
        except (Boom, ExceptionGroup) as error:
            self.note(step, f"caught {sorted(leaves(error))}")

    async def _tidied(self, step: Step, scopes: list[anyio.CancelScope]) -> None:
        try:
            await self.play(step.parts[0], scopes)
        finally:
            with anyio.CancelScope(shield=True) as scope:
                await self.play(step.parts[1], [scope])


def leaves(error: BaseException) -> Iterator[str]:
    """The errors in nested groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield str(error)


def notes_of(program: Step, runner: Callable[[Scenario], None]) -> list[tuple[float, str]]:
    play = Play()
    runner(partial(play.run, program))
    # What happens at one moment has no promised order.
    return sorted(play.notes)


# Most programs are dull.
@settings(max_examples=5 * settings().max_examples, deadline=None)
@given(programs(), st.integers(0, 3))
def test_any_program_does_the_same_as_on_trio(program: Step, seed: int) -> None:
    assert notes_of(program, partial(run, seed=seed)) == notes_of(program, run_on_trio)


# ── one promise each ───────────────────────────────────────────────────────────────────────────────────────────────


def test_events_locks_and_streams(simulate: Callable[[Scenario], None]) -> None:
    seen: list[str] = []

    async def scenario() -> None:
        event, lock = anyio.Event(), anyio.Lock()
        send, receive = anyio.create_memory_object_stream[str](1)

        async def wait(name: str) -> None:
            await event.wait()
            async with lock:
                await anyio.sleep(1)
                seen.append(f"{name} {anyio.current_time() - began:.0f}")

        async def write() -> None:
            async with send:
                for word in ("one", "two", "three"):
                    await send.send(word)

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for name in ("a", "b"):
                tasks.start_soon(wait, name)
            tasks.start_soon(write)
            await anyio.sleep(1)
            assert event.statistics().tasks_waiting == 2
            event.set()
            await event.wait()
            async with receive:
                assert [word async for word in receive] == ["one", "two", "three"]
        assert {word[0] for word in seen} == {"a", "b"}
        assert [word[2:] for word in seen] == ["2", "3"]
        assert not lock.locked()

    simulate(scenario)


def test_who_gives_up_waiting_for_a_lock_does_not_get_it(simulate: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        lock = anyio.Lock()
        async with anyio.create_task_group() as tasks:

            async def hold() -> None:
                async with lock:
                    await anyio.sleep(5)

            tasks.start_soon(hold)
            await anyio.sleep(1)
            with anyio.move_on_after(1) as patience:
                await lock.acquire()
            assert patience.cancelled_caught
            with pytest.raises(anyio.WouldBlock):
                lock.acquire_nowait()
            await anyio.sleep(5)
            lock.acquire_nowait()
            lock.release()

    simulate(scenario)


def test_a_deadline_can_be_moved(simulate: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        began = anyio.current_time()
        with anyio.move_on_after(1) as scope:
            scope.deadline += 2
            await anyio.sleep_forever()
        assert anyio.current_time() - began == pytest.approx(3)
        with anyio.move_on_after(1) as scope:
            scope.deadline = math.inf
            await anyio.sleep(10)
        assert not scope.cancel_called
        with pytest.raises(TimeoutError), anyio.fail_after(2):
            await anyio.sleep(3)

    simulate(scenario)


def test_a_scope_can_be_cancelled_before_it_is_entered(simulate: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        began = anyio.current_time()
        scope = anyio.CancelScope()
        scope.cancel()
        with scope:
            await anyio.sleep(5)
        assert scope.cancelled_caught
        assert anyio.current_time() == began

    simulate(scenario)


def test_a_shield_that_is_lowered_lets_the_cancellation_in(simulate: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope(shield=True) as shielded:

                async def lower() -> None:
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(2)
                    shielded.shield = False

                tasks.start_soon(lower)
                await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
                await anyio.sleep(100)
        assert anyio.current_time() - began == pytest.approx(2)

    simulate(scenario)


def test_a_task_that_says_started_twice_or_never(simulate: Callable[[Scenario], None]) -> None:
    async def twice(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        task_status.started()
        with pytest.raises(RuntimeError, match=r"twice|already"):
            task_status.started()

    async def never(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        pass

    async def scenario() -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(twice)
            with pytest.raises(RuntimeError, match="exited without"):
                await tasks.start(never)
        with pytest.raises(RuntimeError, match="not active"):
            tasks.start_soon(anyio.sleep, 1)

    simulate(scenario)


@pytest.mark.parametrize("scoped", [False, True])
def test_a_task_that_has_started_belongs_to_the_group(simulate: Callable[[Scenario], None], scoped: bool) -> None:
    async def go(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.move_on_after(100) if scoped else nullcontext():
            task_status.started()
            await anyio.sleep_forever()

    async def scenario() -> None:
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope(shield=True):
                await tasks.start(go)
            await anyio.sleep(2)
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - began == pytest.approx(2)

    simulate(scenario)


def test_who_catches_errors_does_not_catch_a_cancellation_with_them(simulate: Callable[[Scenario], None]) -> None:
    async def fail_late() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2)
            raise Boom

    async def work() -> None:
        with anyio.move_on_after(1):
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(fail_late)
                    await anyio.sleep(5)
            except Exception:
                caught.append("an error")
                raise

    async def scenario() -> None:
        with pytest.raises(ExceptionGroup):
            await work()

    caught: list[str] = []
    simulate(scenario)
    assert not caught


def test_work_for_a_thread_is_done_and_a_handle_knows_what_became_of_a_task(
    simulate: Callable[[Scenario], None],
) -> None:
    async def answer() -> int:
        await anyio.sleep(1)
        return 42

    async def scenario() -> None:
        assert await anyio.to_thread.run_sync(sum, (1, 2, 3)) == 6
        async with anyio.create_task_group() as tasks:
            handle = tasks.create_task(answer())
            assert await handle == 42

    simulate(scenario)


# ── what only a simulation does ────────────────────────────────────────────────────────────────────────────────────


def test_what_can_never_go_on_fails_instead_of_hanging() -> None:
    async def scenario() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock):
        run(scenario)


def test_what_never_ends_fails_instead_of_going_on() -> None:
    async def scenario() -> None:
        while True:
            await anyio.sleep(60)

    with pytest.raises(Endless, match="43200 virtual seconds"):
        run(scenario)


def test_an_hour_passes_at_once_and_libraries_know_where_they_are() -> None:
    before = sniffio.thread_local.name

    async def scenario() -> None:
        await anyio.sleep(3600)
        assert anyio.current_time() == 3600
        assert sniffio.current_async_library() == "offhook-simulation"

    run(scenario)
    assert sniffio.thread_local.name == before


def test_there_are_no_sockets() -> None:
    async def scenario() -> None:
        with pytest.raises(NotSimulated, match="no getaddrinfo in virtual time"):
            await anyio.getaddrinfo("localhost", 9)

    run(scenario)


def test_a_seed_is_an_order() -> None:
    def order(seed: int) -> str:
        seen: list[str] = []

        async def scenario() -> None:
            async def go(name: str) -> None:
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                    seen.append(name)

            async with anyio.create_task_group() as tasks:
                for name in "abc":
                    tasks.start_soon(go, name)

        run(scenario, seed=seed)
        return "".join(seen)

    orders = [order(seed) for seed in range(20)]
    assert orders == [order(seed) for seed in range(20)]
    assert len(set(orders)) > 10


def test_a_held_node_stands_still_while_its_timers_expire() -> None:
    seen: list[tuple[str, float]] = []

    async def tick(name: str) -> None:
        while True:
            await anyio.sleep(1)
            seen.append((name, anyio.current_time()))

    async def scenario() -> None:
        async with anyio.create_task_group() as tasks:
            start_in("one", tasks, lambda: tick("one"))
            start_in("two", tasks, lambda: tick("two"))
            await anyio.sleep(1.5)
            holds().hold("one")
            await anyio.sleep(2)
            assert holds().holds("one")
            holds().release("one")
            await anyio.sleep(0.75)
            tasks.cancel_scope.cancel()

    run(scenario)
    assert [at for name, at in seen if name == "two"] == [1, 2, 3, 4]
    assert [at for name, at in seen if name == "one"] == [1, 3.5]


def test_a_generator_that_is_dropped_cleans_up() -> None:
    seen: list[str] = []

    async def words() -> Any:
        try:
            yield "one"
            yield "two"
        finally:
            seen.append("closed")
            await anyio.sleep(1)
            seen.append("waited")

    async def scenario() -> None:
        async for _ in words():
            break
        await anyio.sleep(5)

    run(scenario)
    assert seen == ["closed"]
