"""What a caller on hold hears."""

import anyio
from parrot import Birds

from offhook.protocol import subjects
from offhook.protocol.call import events as ev
from offhook.protocol.messages import Envelope, encode
from offhook.simulation.world import open_world, run


def test_a_caller_hears_hold_audio_from_hold_to_resume() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            team = world.bus.client("team")
            for event, on_hold in ((ev.CallHeld(), True), (ev.CallResumed(), False)):
                await team.publish(subjects.session(call.id), encode(Envelope(call=call.id, body=event)))
                await anyio.sleep(1)
                # Silence is not simulated frame by frame; a sound brings the handset up to date.
                await call.coughs()
                assert call.handset.on_hold is on_hold

    run(scenario)
