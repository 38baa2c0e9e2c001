"""The disk of the bus is full, or the bus is away: what was said meanwhile is written later, once and in order."""

import random

import anyio
from parrot import Birds

from offhook.actors.ports import Stored
from offhook.protocol.call import EndReason
from offhook.simulation.faults import FaultyBus
from offhook.simulation.world import SimulatedCall, World, open_world, run


class Unseen:
    """Nobody looks."""

    def published(self, node: str, subject: str, data: bytes, receivers: list[str]) -> None: ...

    def strayed(self, node: str, subject: str, data: bytes, what: str) -> None: ...

    def appended(self, node: str, stored: Stored) -> None: ...

    def wrote(self, node: str, key: str, value: bytes | None, revision: int) -> None: ...

    def failed(self, node: str, operation: str, what: str, why: str) -> None: ...


async def _greeted(world: World) -> SimulatedCall:
    call = await world.dial("parrot")
    await call.hears("parrot")
    await anyio.sleep(1)
    return call


async def _talk_through(world: World, call: SimulatedCall) -> None:
    await call.says("hello")
    await call.hears("you said hello")
    await anyio.sleep(6)


async def _ends_well(world: World, call: SimulatedCall) -> None:
    await anyio.sleep(3)
    await call.says("bye")
    record = await call.ended()
    assert record.reason == EndReason.AGENT_COMPLETED
    assert [line.text for line in record.transcript] == [
        "Hello, this is the parrot.", "hello", "You said hello.", "bye", "Good bye and thank you.",
    ]  # fmt: skip


def test_lines_that_could_not_be_written_are_written_when_there_is_room() -> None:
    async def scenario() -> None:
        bus = FaultyBus(Unseen(), random.Random(1))
        async with open_world(Birds(), bus=bus) as world:
            call = await _greeted(world)
            bus.troubles.full = True
            before = len(await world.log(call.id))
            await _talk_through(world, call)
            assert len(await world.log(call.id)) == before
            bus.troubles.full = False
            await _ends_well(world, call)

    run(scenario)


def test_an_established_call_goes_on_talking_while_the_bus_is_away() -> None:
    async def scenario() -> None:
        bus = FaultyBus(Unseen(), random.Random(1))
        async with open_world(Birds(), gateways=2, bus=bus) as world:
            call = await _greeted(world)
            bus.troubles.away = True
            bus.change()
            await _talk_through(world, call)
            bus.troubles.away = False
            bus.change()
            await _ends_well(world, call)

    run(scenario)


def test_an_answer_that_is_lost_after_the_entry_was_written_writes_it_once() -> None:
    async def scenario() -> None:
        bus = FaultyBus(Unseen(), random.Random(1))
        async with open_world(Birds(), bus=bus) as world:
            call = await _greeted(world)
            bus.troubles.forget = 0.5
            await _talk_through(world, call)
            bus.troubles.forget = 0.0
            await _ends_well(world, call)

    run(scenario)
