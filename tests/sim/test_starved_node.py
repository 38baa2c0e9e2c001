"""Nodes that live and are slow: answers get lost, everything stands still for seconds, and no call is given up."""

import anyio
import pytest
from parrot import Birds

from offhook.actors.lease import VOICES
from offhook.actors.ports import BusAway
from offhook.protocol.call import EndReason
from offhook.simulation.world import SimulatedCall, World, open_world, run


async def _goes_on(call: SimulatedCall) -> None:
    await call.says("hello")
    await call.hears("you said hello")
    await call.says("bye")
    assert (await call.ended()).reason == EndReason.AGENT_COMPLETED


def _lose_a_renewal(world: World, node: str, *, after_it_was_done: bool) -> None:
    """The next renewal of a node's lease is not answered, as NATS does it: two seconds of silence."""
    client = world.nodes[node].bus
    healthy = client.update

    async def update(key: str, value: bytes, *, revision: int) -> int:
        client.update = healthy  # type: ignore[method-assign]
        if after_it_was_done:
            await healthy(key, value, revision=revision)
        await anyio.sleep(2)
        raise BusAway("no answer")

    client.update = update  # type: ignore[method-assign]


@pytest.mark.parametrize("after_it_was_done", [False, True])
def test_an_answer_that_is_lost_costs_no_lease(after_it_was_done: bool) -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            for _ in range(5):
                await anyio.sleep(3.3)
                _lose_a_renewal(world, "voice-1", after_it_was_done=after_it_was_done)
                for _ in range(20):
                    await anyio.sleep(0.2)
                    assert f"{VOICES}voice-1" in world.bus.kept
            await _goes_on(call)

    run(scenario)


@pytest.mark.parametrize("seconds", [1.0, 3.0, 5.0])
def test_calls_outlive_a_voice_node_that_stands_still_for_seconds(seconds: float) -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            for moment in range(10):
                await anyio.sleep(5 + moment / 10)
                world.freeze("voice-1")
                await anyio.sleep(seconds)
                world.thaw("voice-1")
            await anyio.sleep(5)
            await _goes_on(call)

    run(scenario)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.0, 10.0])
def test_nobody_is_taken_for_dead_when_all_stood_still(seconds: float) -> None:
    """As a machine does that is suspended, or has no time for any of them."""

    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            for moment in range(10):
                await anyio.sleep(5 + moment / 10)
                for name in world.nodes:
                    world.freeze(name)
                await anyio.sleep(seconds)
                # Those who judge go on before those who are judged.
                for name in world.nodes:
                    world.thaw(name)
                    await anyio.sleep(0.3)
                assert f"{VOICES}voice-1" in world.bus.kept
            await _goes_on(call)

    run(scenario)
