"""kill -9 of the voice node that carries a call: the call ends and says why, others go on."""

import anyio
from parrot import Birds

from offhook.protocol.call import EndReason
from offhook.simulation.world import open_world, run


def test_the_calls_of_a_dead_voice_node_end_as_failed_and_those_of_others_go_on() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), voices=2) as world:
            calls = [await world.dial("parrot") for _ in range(2)]
            for call in calls:
                await call.hears("parrot")
            record = await world.record(calls[0].id)
            assert record is not None
            node = next(name for name, node in world.nodes.items() if node.voice and calls[0].id in node.voice.calls)
            other = next(call for call in calls if call.id not in world.nodes[node].voice.calls)  # type: ignore[union-attr]
            lost = next(call for call in calls if call is not other)
            world.kill(node)
            await anyio.sleep(8)
            assert lost.errors[-1]["code"] == "MEDIA_BRIDGE_FAILURE"
            record = await lost.ended(within=20)
            assert record.reason == EndReason.FAILED
            assert record.failure == "media_failed"
            await other.says("hello")
            await other.hears("you said hello")
            await anyio.sleep(1)
            new = await world.dial("parrot")
            await new.hears("parrot")

    run(scenario)
