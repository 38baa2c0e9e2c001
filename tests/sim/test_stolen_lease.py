"""A call's owner key is given to another gateway by hand: one of them goes on, and the other stops."""

import anyio
import msgspec
from parrot import Birds

from offhook.actors.capacity import OWNERS, Owner
from offhook.protocol.call import EndReason
from offhook.simulation.world import SimulatedCall, World, open_world, run


async def _greeted(world: World) -> SimulatedCall:
    call = await world.dial("parrot")
    await call.hears("parrot")
    await anyio.sleep(1)
    return call


def test_the_owner_that_lost_its_key_writes_nothing_more_once_it_knows() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await _greeted(world)
            first = (await world.log(call.id))[-1].owner
            world.bus.write(f"{OWNERS}{call.id}", msgspec.msgpack.encode(Owner("ghost")))
            await anyio.sleep(2)
            await call.says("hello")
            await call.hears("you said hello")
            call.hang_up()
            record = await call.ended()
            assert record.reason == EndReason.CALLER_HANGUP
            owners = [entry.owner for entry in await world.log(call.id)]
            assert owners == sorted(owners)
            assert owners[-1] > first

    run(scenario)


def test_two_that_write_at_once_end_as_one_owner() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await _greeted(world)
            world.bus.write(f"{OWNERS}{call.id}", msgspec.msgpack.encode(Owner("ghost")))
            # Both take this, before the first has noticed.
            with anyio.move_on_after(1.0):
                await call.says("hello there")
            await call.hears("you said")
            await anyio.sleep(2)
            holders = [name for name, node in world.nodes.items() if node.registry and call.id in node.registry.calls]
            assert len(holders) == 1
            call.hang_up()
            owners = [entry.owner for entry in await world.log((await call.ended()).id)]
            assert owners == sorted(owners)

    run(scenario)
