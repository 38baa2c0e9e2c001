"""Callers who interrupt, are silent, lose their network, and come back."""

import pytest

from offhook.simulation.kit import SimulatedAgent, Simulation


@pytest.fixture
def florist(simulation: Simulation) -> SimulatedAgent:
    return simulation.agent("florist.toml")


async def test_the_caller_interrupts(simulation: Simulation, florist: SimulatedAgent) -> None:
    call = await simulation.dial(florist)
    await call.hears("hello")
    await call.interrupts("do you deliver")
    await call.hears("in the whole town")

    greeting = (await call.record()).transcript[0]
    assert greeting.interrupted
    # The transcript holds what was played, not what the agent had in mind.
    assert greeting.text.startswith("Hello")
    assert "do for you" not in greeting.text


async def test_a_cough_is_no_interruption(simulation: Simulation, florist: SimulatedAgent) -> None:
    call = await simulation.dial(florist)
    await call.hears("hello")
    await call.coughs()
    await call.hears("what can i do for you")
    await call.waits(1)
    assert not (await call.record()).transcript[0].interrupted


async def test_the_caller_says_nothing(simulation: Simulation, florist: SimulatedAgent) -> None:
    call = await simulation.dial(florist)
    await call.hears("what can i do for you")
    await call.hears_nothing(8)
    await call.hears("are you still there", within=4)
    record = await call.ended()
    assert record.reason == "silence"
    assert 20 < record.duration < 60


async def test_the_network_vanishes_and_comes_back(simulation: Simulation, florist: SimulatedAgent) -> None:
    call = await simulation.dial(florist)
    await call.says("roses")
    await call.hears("for which day")
    call.vanish()
    await call.reaches("reconnecting", within=10)
    await call.waits(5)
    await call.comes_back()
    await call.reaches("answered")
    # The agent has forgotten nothing.
    await call.says("friday")
    await call.hears("roses for friday")


async def test_the_network_vanishes_for_good(simulation: Simulation, florist: SimulatedAgent) -> None:
    call = await simulation.dial(florist)
    await call.hears("hello")
    call.vanish()
    record = await call.ended()
    assert record.reason == "lost"


async def test_the_caller_hangs_up_while_a_tool_runs(simulation: Simulation, florist: SimulatedAgent) -> None:
    order = florist.tool("order", returns={"number": 12}, takes=5.0)
    call = await simulation.dial(florist)
    await call.says("roses for friday")
    await call.hears("shall i order them")
    await call.says("yes")
    await call.expects_tool("order")
    call.hang_up()
    record = await call.ended()
    assert record.reason == "caller_hangup"
    # What was begun is ended: the florist has the order, once.
    await call.waits(10)
    assert [use.result for use in order.uses] == [{"number": 12}]
