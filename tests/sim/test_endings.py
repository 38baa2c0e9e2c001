"""How calls end when nothing is wrong."""

import anyio
import pytest
from parrot import Birds

from offhook.actors.ports import AgentNotFound, Profile
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


class Vanishing(Birds):
    """An agent that is there when a gateway asks for it, and gone when a voice node does."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0

    async def reach(self, agent: str, version: str | None = None) -> None:
        """See ``Agents``."""
        self._asked += 1

    def profile(self, agent: str, version: str | None = None, *, variant: str | None = None) -> Profile:
        if self._asked > 1:
            raise AgentNotFound(f"There is no agent {agent!r} any more.")
        return super().profile(agent, version, variant=variant)


@pytest.mark.parametrize("mode", ["traditional", "echo"])
def test_a_call_whose_agent_is_not_on_the_voice_node_ends_as_a_fault_of_ours(mode: str) -> None:
    async def scenario() -> None:
        async with open_world(Vanishing()) as world:
            call = await world.dial("parrot", mode=mode, events=True)
            record = await call.ended(within=10)
            assert (record.reason, record.failure, record.transcript) == ("failed", "agent_failed", ())
            assert [(error["code"], error["reason"]) for error in call.errors] == [("AGENT_FAILURE", "agent_failed")]
            assert "call again" in call.errors[0]["message"]
            events = [type(entry.event) for entry in await world.log(call.id)]
            assert events.count(ev.AgentFailed) == 1 and ev.TimedOut not in events and events[-1] is ev.MediaClosed
            voice = world.nodes["voice-1"].voice
            assert voice is not None
            await voice.wait_empty()

    run(scenario)
