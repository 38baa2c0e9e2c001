"""A brain in Python with a tool that is slow, fails once, or fails for good."""

from typing import Any

import pytest
from weather_brain import WeatherBrain

from offhook.actors.ports import ToolFailed
from offhook.simulation.kit import SimulatedAgent, Simulation

SUNNY = {"sky": "sunny", "degrees": 21}


@pytest.fixture
def weather(simulation: Simulation) -> SimulatedAgent:
    return simulation.brain("weather", WeatherBrain)


async def test_a_slow_tool(simulation: Simulation, weather: SimulatedAgent) -> None:
    weather.tool("weather", returns=SUNNY, takes=8.0)

    call = await simulation.dial(weather, variables={"town": "Rome"})
    await call.hears("weather in Rome")
    await call.says("what is the weather")
    await call.hears("let me look", within=2)
    await call.expects_tool("weather", town="Rome")
    await call.hears("sunny, at 21 degrees", within=12)
    assert await call.sees("weather") == "sunny"


async def test_a_tool_that_fails_once(simulation: Simulation, weather: SimulatedAgent) -> None:
    answers = iter([None, SUNNY])

    async def ask(*, town: str) -> dict[str, Any]:
        answer = next(answers)
        if answer is None:
            raise ToolFailed(f"no answer about {town}")
        return answer

    tool = weather.tool("weather", ask)

    call = await simulation.dial(weather)
    await call.says("will it rain")
    await call.hears("it is sunny", within=5)
    assert [use.error for use in tool.uses] == ["no answer about Springfield", None]
    first, second = tool.uses
    assert first.ended is not None
    assert second.began - first.ended == pytest.approx(1.0)


async def test_a_tool_that_fails_for_good(simulation: Simulation, weather: SimulatedAgent) -> None:
    tool = weather.tool("weather", fails="no connection")

    call = await simulation.dial(weather)
    await call.says("will it rain")
    await call.hears("can not reach the weather service")
    assert len(tool.uses) == 2


async def test_a_caller_who_changes_the_subject(simulation: Simulation, weather: SimulatedAgent) -> None:
    weather.tool("weather", returns=SUNNY, takes=8.0)

    call = await simulation.dial(weather)
    await call.says("what is the weather")
    await call.expects_tool("weather")
    await call.says("goodbye")
    await call.hears("goodbye", within=12)
    assert (await call.ended()).reason == "agent_completed"
