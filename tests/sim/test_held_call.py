"""Hold cuts the agent short: nothing of what was cut is heard later, and what the caller said is written once."""

import anyio
from parrot import Birds

from offhook.protocol import subjects
from offhook.protocol.call import CallEvent
from offhook.protocol.call import events as ev
from offhook.protocol.messages import Envelope, encode
from offhook.simulation.world import SimulatedCall, World, open_world, run


async def _tell(world: World, call: SimulatedCall, event: CallEvent) -> None:
    await world.bus.client("desk").publish(subjects.session(call.id), encode(Envelope(call=call.id, body=event)))


def test_words_that_a_hold_has_cut_are_not_heard_after_it() -> None:
    async def scenario() -> None:
        for moment in range(8):
            async with open_world(Birds()) as world:
                call = await world.dial("parrot")
                await call.hears("parrot")
                await anyio.sleep(1)
                await call.says("story")
                await call.hears("once upon a time")
                await anyio.sleep(moment * 0.03)
                await _tell(world, call, ev.CallHeld())
                await anyio.sleep(2)
                heard = list(call.handset.words)
                await _tell(world, call, ev.CallResumed())
                await anyio.sleep(2)
                assert call.handset.words == heard

    run(scenario)


def test_what_is_being_understood_when_a_hold_comes_is_not_written_twice() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            world.recognizer.delay = 1.5
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            await call.says("one two three")
            await anyio.sleep(1)
            await _tell(world, call, ev.CallHeld())
            await anyio.sleep(5)
            await _tell(world, call, ev.CallResumed())
            await anyio.sleep(2)
            call.hang_up()
            record = await call.ended()
            words = [word for line in record.transcript if line.role == "caller" for word in line.text.split()]
            assert len(words) == len(set(words))

    run(scenario)
