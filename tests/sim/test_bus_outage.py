"""The bus is away for a while: calls that go on go on, new ones are refused, and nobody is taken for dead."""

import anyio
from parrot import Birds

from offhook.protocol.call import EndReason
from offhook.simulation.world import World, open_world, run


def cut(world: World, away: bool) -> None:
    for node in world.nodes.values():
        node.bus.away = away


def test_an_offer_is_refused_and_taken_once_the_bus_is_back() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            cut(world, True)
            call = await world.dial("parrot")
            assert [(error["code"], error["reason"]) for error in call.errors] == [("HANDLER_ERROR", "unavailable")]
            assert call.socket.closed is None
            cut(world, False)
            call.socket.send_frame(world.offer(call, "parrot"))
            await call.hears("parrot")

    run(scenario)


def test_a_call_goes_on_without_the_bus_and_its_record_is_complete() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            with anyio.fail_after(300):
                await talk(world)

    async def talk(world: World) -> None:
        call = await world.dial("parrot")
        await call.hears("parrot")
        await anyio.sleep(1)
        cut(world, True)
        await call.says("one")
        await call.hears("you said one")
        # Longer than a lease lasts, and the gateway is back first: it did not see, so it must not judge yet.
        await anyio.sleep(8)
        world.nodes["gateway-1"].bus.away = False
        await anyio.sleep(1.5)
        cut(world, False)
        await anyio.sleep(8)
        await call.says("two")
        await call.hears("you said two")
        call.hang_up()
        record = await call.ended()
        assert record.reason == EndReason.CALLER_HANGUP
        said = [line.text for line in record.transcript if line.role == "caller"]
        assert said == ["one", "two"]

    run(scenario)
