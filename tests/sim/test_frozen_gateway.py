"""SIGSTOP of the gateway that owns a call: another takes over, and the frozen one is refused when it wakes."""

import anyio
from parrot import Birds

from offhook.protocol.call import CallState, EndReason
from offhook.simulation.world import open_world, run


def test_the_frozen_owner_is_refused_when_it_wakes() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            owner = next(name for name, node in world.nodes.items() if node.registry and node.registry.calls)
            world.freeze(owner)
            await call.says("hello")
            await call.hears("you said hello")
            await anyio.sleep(6)
            epoch = (await world.log(call.id))[-1].owner
            world.thaw(owner)
            await call.says("and again")
            await call.hears("you said and again")
            await anyio.sleep(3)
            registry = world.nodes[owner].registry
            assert registry is not None
            assert not registry.calls
            await call.says("bye")
            record = await call.ended()
            assert record.reason == EndReason.AGENT_COMPLETED
            log = await world.log(call.id)
            assert [entry.owner for entry in log] == sorted(entry.owner for entry in log)
            assert log[-1].owner == epoch
            ends = [change for change in record.states if change.state is CallState.ENDED]
            assert len(ends) == 1

    run(scenario)
