"""Records nodes are killed at any moment: every call has its record, once, with the same story as the log."""

import anyio
import pytest
from parrot import Birds

from offhook.simulation.world import open_world, run


@pytest.mark.parametrize("after", [0.0, 0.1, 0.5, 1.0, 1.5, 2.5])
def test_the_record_tells_the_story_of_the_log(after: float) -> None:
    async def scenario() -> None:
        async with open_world(Birds(), records=2) as world:
            call = await world.dial("parrot")
            await anyio.sleep(after)
            world.kill("records-1")
            await call.hears("parrot")
            world.kill("records-2")
            await call.says("hello")
            world.start_records("records-3")
            await call.hears("you said hello")
            call.hang_up()
            await call.ended()
            await anyio.sleep(70)
            assert world.records.call(call.id) == await world.record(call.id)

    run(scenario)
