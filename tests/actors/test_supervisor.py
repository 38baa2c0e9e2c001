"""The supervisor: crashes are contained, counted and, past a bound, told."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import anyio
import pytest
import trio
import trio.testing

from offhook.actors.supervisor import Supervisor


def simulate(scenario: Callable[[], Awaitable[None]]) -> None:
    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))


class Actor:
    """Crashes after so many seconds, each time it runs; the last plan is for ever."""

    def __init__(self, *lives: float | None) -> None:
        self.lives = list(lives)
        self.starts = 0
        self.given_up: list[Exception] = []

    async def run(self) -> None:
        life = self.lives[min(self.starts, len(self.lives) - 1)]
        self.starts += 1
        if life is None:
            return
        await anyio.sleep(life)
        raise RuntimeError(f"crash {self.starts}")

    def give_up(self, error: Exception) -> None:
        self.given_up.append(error)


def test_an_actor_that_crashes_starts_again() -> None:
    async def scenario() -> None:
        actor = Actor(1, 1, None)
        async with Supervisor() as supervisor:
            supervisor.start("a", actor.run, gave_up=actor.give_up)
            await anyio.sleep(5)
            assert (actor.starts, actor.given_up) == (3, [])
            assert supervisor.running == set()

    simulate(scenario)


def test_past_its_restarts_it_is_given_up_and_somebody_is_told() -> None:
    async def scenario() -> None:
        actor = Actor(0.1)
        async with Supervisor() as supervisor:
            supervisor.start("a", actor.run, gave_up=actor.give_up, restarts=3, within=10)
            await anyio.sleep(60)
            assert actor.starts == 4
            assert [str(error) for error in actor.given_up] == ["crash 4"]
            assert supervisor.running == set()

    simulate(scenario)


def test_crashes_far_apart_are_forgotten() -> None:
    async def scenario() -> None:
        actor = Actor(6)
        async with Supervisor() as supervisor:
            supervisor.start("a", actor.run, gave_up=actor.give_up, restarts=1, within=5)
            await anyio.sleep(600)
            assert actor.given_up == []
            assert actor.starts > 50

    simulate(scenario)


def test_no_restarts_means_none() -> None:
    async def scenario() -> None:
        actor = Actor(1)
        async with Supervisor() as supervisor:
            supervisor.start("a", actor.run, gave_up=actor.give_up, restarts=0)
            await anyio.sleep(60)
            assert (actor.starts, len(actor.given_up)) == (1, 1)

    simulate(scenario)


def test_a_crash_reaches_nobody_else() -> None:
    async def scenario() -> None:
        bad, good = Actor(0.1), Actor(100, None)
        async with Supervisor() as supervisor:
            supervisor.start("good", good.run, gave_up=good.give_up)
            supervisor.start("bad", bad.run, gave_up=bad.give_up)
            await anyio.sleep(60)
            assert len(bad.given_up) == 1
            assert (good.starts, supervisor.running) == (1, {"good"})

    simulate(scenario)


def test_restarts_wait_longer_each_time() -> None:
    async def scenario() -> None:
        times: list[float] = []

        async def run() -> None:
            times.append(anyio.current_time())
            raise RuntimeError

        async with Supervisor() as supervisor:
            supervisor.start("a", run, gave_up=lambda _: None, restarts=3)
            await anyio.sleep(10)
        waits = [after - before for before, after in pairwise(times)]
        assert waits == sorted(waits)
        assert len(set(waits)) == 3

    simulate(scenario)


def test_leaving_ends_the_actors_and_is_no_crash() -> None:
    async def scenario() -> None:
        actor = Actor(1000)
        async with Supervisor() as supervisor:
            supervisor.start("a", actor.run, gave_up=actor.give_up)
            await anyio.sleep(1)
        assert (actor.starts, actor.given_up, supervisor.running) == (1, [], set())

    simulate(scenario)


def test_an_error_of_who_supervises_is_not_hidden() -> None:
    async def scenario() -> None:
        with pytest.RaisesGroup(LookupError):
            async with Supervisor() as supervisor:
                supervisor.start("a", Actor(1000).run, gave_up=lambda _: None)
                raise LookupError

    simulate(scenario)
