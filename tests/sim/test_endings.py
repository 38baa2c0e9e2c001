"""How calls end when nothing is wrong."""

import anyio
import pytest
from parrot import Birds

from offhook.protocol.call import events as ev
from offhook.simulation.world import open_world, run


@pytest.mark.parametrize("who", ["caller", "agent"])
def test_an_ordinary_end_waits_for_no_timeout(who: str) -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            if who == "caller":
                call.hang_up()
            else:
                await call.says("bye")
            await call.ended()
            events = [entry.event for entry in await world.log(call.id)]
            assert [type(event) for event in events[-2:]] == [ev.AgentStopped, ev.MediaClosed]
            assert not any(isinstance(event, ev.TimedOut) for event in events)

    run(scenario)
