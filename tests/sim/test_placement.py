"""Calls are shared among voice nodes: whoever has clearly more to do leaves new ones to the others."""

import anyio
from parrot import Birds

from offhook.simulation.world import World, open_world, run


async def _dial(world: World, count: int) -> None:
    for _ in range(count):
        await world.dial("parrot", mode="echo")


def test_a_new_node_gets_the_calls_until_it_has_caught_up() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            await _dial(world, 6)
            fresh = await world.start_voice("voice-2")
            await anyio.sleep(3)
            await _dial(world, 3)
            assert len(fresh.calls) == 3
            await anyio.sleep(3)
            await _dial(world, 6)
            assert 5 <= len(fresh.calls) <= 9

    run(scenario)


def test_calls_are_taken_again_when_the_others_are_gone() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), voices=2) as world:
            await _dial(world, 8)
            await anyio.sleep(3)
            call = await world.dial("parrot")
            await call.hears("parrot")

    run(scenario)
