"""The agent's floor at the edges of its lines, frame by frame."""

import anyio
import anyio.lowlevel
from parrot import Birds, Parrot

from offhook.actors.agent import AgentActor
from offhook.actors.inbox import Inbox
from offhook.actors.link import AudioLink
from offhook.actors.ports import Brain, Toolbox
from offhook.protocol import subjects
from offhook.protocol.call import effects as do
from offhook.protocol.messages import TO_AGENT, Envelope, encode
from offhook.protocol.speech import EAR_FRAME
from offhook.simulation.bus import SimulatedBus
from offhook.simulation.speech import SimulatedDetector, SimulatedRecognizer, SimulatedSynthesizer, noise
from offhook.simulation.world import SimulatedClock, run

CALL = "6f1c2d3e-0000-4000-8000-00000000000b"


def _think(tools: Toolbox) -> Brain:
    return Parrot(tools)


def floor(agent: AgentActor) -> str:
    return agent.turn.state.value


async def _no_tool(name: str, arguments: str, use: str) -> str:
    raise AssertionError(name)


def test_a_noise_in_the_moment_in_which_a_line_ends_leaves_the_floor_to_the_caller() -> None:
    async def scenario() -> None:
        bus, link = SimulatedBus().client("voice-1"), AudioLink()
        agent = AgentActor(
            CALL,
            do.OpenMedia(sdp="", agent="parrot", version="1", mode="traditional"),
            bus=bus,
            clock=SimulatedClock(),
            link=link,
            profile=Birds().profile("parrot"),
            think=_think,
            run_tool=_no_tool,
            recognizer=SimulatedRecognizer(),
            synthesizer=SimulatedSynthesizer(),
            detector=SimulatedDetector(),
            node="voice-1",
        )
        subject = subjects.agent(CALL)
        async with bus.subscribe(subject) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(agent.run, Inbox(bus, stream, subject=subject, kinds=TO_AGENT, call=CALL))
            await anyio.sleep(0.1)
            await bus.publish(subject, encode(Envelope(call=CALL, owner=1, seq=1, body=do.StartAgent())))
            await anyio.sleep(0.1)
            assert floor(agent) == "speaking"
            while link.queued > 480:
                link.take()
                await anyio.sleep(0.02)
            link.hear(noise(0.02)[0])
            await anyio.lowlevel.checkpoint()
            link.take()
            await anyio.sleep(0.02)
            assert floor(agent) == "interrupted"
            for _ in range(40):
                link.hear(bytes(EAR_FRAME))
                await anyio.sleep(0.02)
            assert floor(agent) == "listening"
            tasks.cancel_scope.cancel()

    run(scenario)
