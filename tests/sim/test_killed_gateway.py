"""kill -9 of the gateway that owns a call: another owns it within 5 s, the voice never stops, nothing is lost."""

import anyio
from parrot import Birds

from offhook.protocol.call import EndReason
from offhook.simulation.world import SimulatedCall, World, open_world, run


async def _owned(world: World, call: SimulatedCall) -> list[str]:
    nodes = world.nodes.items()
    return [name for name, node in nodes if node.well and node.registry and call.id in node.registry.calls]


def test_another_gateway_owns_the_call_within_five_seconds_and_it_goes_on() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            (owner,) = await _owned(world, call)
            world.kill(owner)
            await call.says("hello")
            await call.hears("you said hello", within=1.5)
            await anyio.sleep(5 - 1.5)
            (other,) = await _owned(world, call)
            assert other != owner
            await call.says("bye")
            record = await call.ended()
            assert record.reason == EndReason.AGENT_COMPLETED
            said = [line.text for line in record.transcript]
            assert said == [
                "Hello, this is the parrot.", "hello", "You said hello.", "bye", "Good bye and thank you.",
            ]  # fmt: skip

    run(scenario)


def test_an_order_that_died_with_its_owner_is_given_by_the_next() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await world.connect()
            call.socket.send_frame(world.offer(call, "parrot"))
            await call.wait_answer()
            # The entry stands in the log, the order that follows from it was never sent.
            while (record := await world.record(call.id)) is None or record.state != "answered":
                await anyio.sleep(0.001)
                (owner,) = await _owned(world, call)
            world.kill(owner)
            await call.hears("parrot")

    run(scenario)
