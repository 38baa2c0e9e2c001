"""A node is cut off from the bus while all others reach it."""

import anyio
from parrot import Birds

from offhook.protocol.call import EndReason
from offhook.simulation.world import open_world, run


def test_a_gateway_that_is_cut_off_gives_its_calls_away_and_takes_new_ones_later() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            owner = next(node for node in world.nodes.values() if node.registry and node.registry.calls)
            owner.bus.away = True
            await call.says("hello")
            await call.hears("you said hello")
            await anyio.sleep(8)
            owner.bus.away = False
            await anyio.sleep(3)
            assert owner.registry is not None
            assert not owner.registry.calls
            await call.says("bye")
            assert (await call.ended()).reason == EndReason.AGENT_COMPLETED
            for _ in range(2):
                other = await world.dial("parrot")
                await other.hears("parrot")

    run(scenario)


def test_a_voice_node_that_is_cut_off_for_a_moment_loses_no_line() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            world.nodes["voice-1"].bus.away = True
            await call.says("hello")
            await call.hears("you said hello")
            world.nodes["voice-1"].bus.away = False
            await anyio.sleep(2)
            call.hang_up()
            texts = [line.text for line in (await call.ended()).transcript]
            assert texts == ["Hello, this is the parrot.", "hello", "You said hello."]

    run(scenario)


def test_a_call_that_is_opened_while_the_gateway_is_cut_off_is_refused_and_not_forgotten() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            world.nodes["gateway-1"].bus.away = True
            call = await world.dial("parrot")
            assert call.errors[0]["reason"] == "unavailable"
            world.nodes["gateway-1"].bus.away = False
            again = await world.dial("parrot")
            await again.hears("parrot")

    run(scenario)
