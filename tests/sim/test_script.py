"""The words in which developers script a call, and what they are told when something else happens (X1)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from offhook.actors.ports import Toolbox, ToolFailed
from offhook.protocol.call import EndReason
from offhook.protocol.speech import BrainAction, Finish, Heard, Hints, Say, Tell
from offhook.simulation.kit import SimulatedAgent, Simulation, WrongSimulation
from offhook.simulation.script import Call, CallRefused, Unmet

SHOP = """
id = "shop"
name = "Shop"
greeting = "Hello {visitor}, this is the shop."
[brain]
kind = "flow"
start = "start"
[variables]
visitor = ""
[tools.order]
description = "Orders flowers."
parameters = { day = "when" }
[slots.day]
type = "day"
[intents.order]
phrases = ["flowers for {day}"]
go = "moment"
[intents.who]
phrases = ["who am i"]
say = "You are {visitor}."
[intents.hours]
phrases = ["when are you open"]
say = "Always."
key = "1"
[intents.bye]
phrases = ["bye"]
go = "bye"
[nodes.start]
kind = "ask"
say = "What would you like?"
on = { bye = "bye" }
[nodes.moment]
kind = "say"
say = "One moment."
next = "order"
[nodes.order]
kind = "tool"
tool = "order"
next = "tell"
[nodes.tell]
kind = "tell"
name = "ordered"
next = "ordered"
[nodes.ordered]
kind = "say"
say = "Your order has the number {order.number}."
forget = ["day"]
next = "start"
[nodes.bye]
kind = "end"
say = "Goodbye."
"""


@pytest.fixture
def shop(simulation: Simulation, tmp_path: Path) -> SimulatedAgent:
    (tmp_path / "shop.toml").write_text(SHOP)
    return simulation.agent(tmp_path / "shop.toml")


async def test_a_whole_call(simulation: Simulation, shop: SimulatedAgent) -> None:
    order = shop.tool("order", returns={"number": 7}, takes=2.0)
    call = await simulation.dial(shop, variables={"visitor": "Ann"})
    assert await call.hears("this is the SHOP!") == "Hello Ann, this is the shop."
    await call.says("flowers for tuesday")
    use = await call.expects_tool("order", within=5, day="tuesday")
    began = use.began
    assert simulation.now < began + 2.0
    await call.hears("number 7", within=5)
    assert use.result == {"number": 7}
    assert use.ended == pytest.approx(began + 2.0)
    assert await call.sees("ordered") == {"day": "tuesday"}
    assert order.uses == [use]
    assert use.call == call.id
    await call.says("bye")
    record = await call.ended()
    assert record.reason is EndReason.AGENT_COMPLETED
    assert record.variables == {"visitor": "Ann"}
    assert record.transcript[1].text == "flowers for tuesday"


async def test_a_caller_who_says_something_waits_for_its_turn(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.says("when are you open")
    await call.hears("always")
    await call.says("bye")
    record = await call.ended()
    assert not any(line.interrupted for line in record.transcript)


async def test_a_caller_who_interrupts_does_not(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.interrupts("when are you open")
    await call.hears("always")
    record = await call.record()
    assert record.transcript[0].interrupted


async def test_typed_dialed_and_misheard(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.hears("would you like")
    await call.types("when are you open?")
    await call.hears("always", within=2)
    await call.hears("would you like")
    await call.presses("1")
    await call.hears("always")
    await call.says("when is it over", heard_as="when are you open")
    await call.hears("always")
    await call.says("when are you open", misheard=True)
    assert "Always" not in await call.hears("sorry")
    await call.hears("would you like")
    await call.says("when are you open", heard_as="")
    await call.hears_nothing(5)


async def test_the_page_and_the_agent_inform_each_other(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop, variables={"visitor": "Ann"})
    await call.hears("ann")
    await call.shows("visitor", "Berta")
    await call.shows("unknown", {"any": ["thing"]})
    await call.says("who am i")
    await call.hears("you are Berta")


async def test_a_cough_is_no_interruption(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.hears("hello")
    await call.coughs()
    await call.hears("what would you like")
    assert "coughs" in await call.story()


async def test_silence_and_the_patience_of_the_agent(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.hears("would you like")
    await call.hears_nothing(8)
    await call.hears("are you still there", within=4)
    record = await call.ended()
    assert record.reason is EndReason.SILENCE


async def test_a_caller_may_vanish_and_come_back_or_not(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.hears("would you like")
    call.vanish()
    await call.reaches("reconnecting", within=6)
    await call.comes_back()
    await call.reaches("answered", within=2)
    await call.says("when are you open")
    await call.hears("always")
    await call.comes_back()
    await call.says("when are you open")
    await call.hears("always")
    call.vanish()
    record = await call.ended()
    assert record.reason is EndReason.LOST
    assert "vanishes" in await call.story() and "reloads the page" in await call.story()


async def test_what_the_page_was_told_before_a_reload_is_told_once(
    simulation: Simulation, shop: SimulatedAgent
) -> None:
    shop.tool("order", returns={"number": 7})
    call = await simulation.dial(shop)
    await call.says("flowers for monday")
    await call.hears("number 7")
    await call.comes_back()
    assert await call.sees("ordered") == {"day": "monday"}
    with pytest.raises(Unmet):
        await call.sees("ordered", within=5)
    await call.comes_back()
    await call.says("flowers for friday")
    assert await call.sees("ordered") == {"day": "friday"}


async def test_several_calls_at_once(simulation: Simulation, shop: SimulatedAgent) -> None:
    shop.tool("order", returns={"number": 1})
    first, second = await simulation.dial(shop), await simulation.dial("shop")
    assert simulation.calls == [first, second]
    await first.says("flowers for monday")
    await first.expects_tool("order", day="monday")
    with pytest.raises(Unmet, match="it used none"):
        await second.expects_tool("order", within=1)


async def test_ten_minutes_of_a_call(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    for _ in range(85):
        await call.says("when are you open")
        await call.hears("always")
        await call.waits(4.5)
    assert simulation.now > 600
    assert len((await call.record()).transcript) == 171


@pytest.mark.simulation(gateways=2, voices=2)
async def test_more_nodes(simulation: Simulation, shop: SimulatedAgent) -> None:
    for _ in range(4):
        await (await simulation.dial(shop)).hears("hello")
    assert len(simulation.world.nodes) == 4


# ── tools ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_real_code_runs_as_a_tool(simulation: Simulation, shop: SimulatedAgent) -> None:
    async def order(*, day: str) -> dict[str, str]:
        return {"number": f"{day}-1"}

    shop.tool("order", order)
    call = await simulation.dial(shop)
    await call.says("flowers for friday")
    await call.hears("number friday 1")


async def test_a_failing_tool_and_one_that_changes(simulation: Simulation, shop: SimulatedAgent) -> None:
    order = shop.tool("order", fails="no flowers")
    call = await simulation.dial(shop)
    await call.says("flowers for friday")
    await call.hears("that did not work")
    assert order.uses[0].error == "no flowers"
    order.fails, order.returns = None, {"number": 3}
    await call.says("flowers for friday")
    await call.hears("number 3")
    await call.expects_tool("order")
    await call.expects_tool("order")


async def test_a_tool_that_nobody_gave_fails_and_the_story_says_so(
    simulation: Simulation, shop: SimulatedAgent
) -> None:
    call = await simulation.dial(shop)
    await call.says("flowers for friday")
    await call.hears("that did not work")
    assert "the test gave the agent 'shop' no tool 'order'" in await call.story()


async def test_code_that_breaks_ends_the_call_and_is_named(simulation: Simulation, shop: SimulatedAgent) -> None:
    async def order(*, day: str) -> None:
        raise KeyError(day)

    shop.tool("order", order)
    call = await simulation.dial(shop)
    await call.says("flowers for friday")
    record = await call.ended()
    assert record.reason is EndReason.FAILED
    assert "order(day='friday') failed: KeyError('friday')" in await call.story()


async def test_a_caller_who_talks_while_a_tool_runs(simulation: Simulation, shop: SimulatedAgent) -> None:
    order = shop.tool("order", returns={"number": 5}, takes=4.0)
    call = await simulation.dial(shop)
    await call.says("flowers for friday")
    await call.expects_tool("order")
    await call.says("when are you open")
    await call.hears("number 5")
    await call.hears("always")
    assert len(order.uses) == 1


async def test_a_tool_slower_than_the_agent_may_think_is_still_told(
    simulation: Simulation, shop: SimulatedAgent
) -> None:
    shop.tool("order", returns={"number": 5}, takes=25.0)
    call = await simulation.dial(shop)
    await call.says("flowers for friday")
    await call.hears("number 5", within=40)


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("oder", {}, "the document of 'shop' has no tool 'oder'; it declares order"),
        ("order", {"returns": 1, "run": print}, "the tool 'order' has real code"),
    ],
)
def test_a_tool_that_can_not_be(shop: SimulatedAgent, name: str, given: dict[str, Any], why: str) -> None:
    with pytest.raises(WrongSimulation, match=why):
        shop.tool(name, **given)


# ── what is said when something else happens ───────────────────────────────────────────────────────────────────────


async def _expect(call: Call, what: str) -> None:
    match what:
        case "hears":
            await call.hears("on the moon", within=5)
        case "nothing":
            await call.hears_nothing(3)
        case "tool":
            await call.expects_tool("order", within=20, day="monday")
        case "sees":
            await call.sees("map", within=2)
        case "reaches":
            await call.reaches("held", within=2)
        case _:
            await call.ended(within=2)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("hears", "expected to hear 'on the moon' within 5 s, until 0:11.1; heard \"Your order has the number 7."),
        ("nothing", 'expected silence within 3 s, until 0:09.1; heard "Your order has the number'),
        ("tool", "expected the tool order(day='monday') within 20 s, until 0:26.1; it used order(day='tuesday')"),
        ("sees", "expected the page to be told 'map' within 2 s, until 0:08.1; it was not"),
        ("reaches", "expected the call to be held within 2 s, until 0:08.1; it is answered"),
        ("ended", "expected the call to be ended within 2 s, until 0:08.1; it is answered"),
    ],
    ids=["hears", "nothing", "tool", "sees", "reaches", "ended"],
)
async def test_what_came_instead_is_told(simulation: Simulation, shop: SimulatedAgent, name: str, first: str) -> None:
    shop.tool("order", returns={"number": 7})
    call = await simulation.dial(shop, variables={"visitor": "Ann"})
    await call.says("flowers for tuesday")
    await call.hears("one moment")
    with pytest.raises(Unmet) as unmet:
        await _expect(call, name)
    said = str(unmet.value)
    assert said.startswith(first), said
    story = said.split("The call so far, in virtual minutes and seconds:\n")[1].splitlines()
    assert story[0] == "  0:00.0  caller  dials shop, visitor='Ann'"
    assert story[3] == "  0:00.1  call    answered (AgentAnswered)", story
    assert any(line.endswith('caller  says "flowers for tuesday"') for line in story)
    assert any("tool    order(day='tuesday') returned {'number': 7} after 0 s" in line for line in story)
    assert [line[2:8] for line in story] == sorted(line[2:8] for line in story)


async def test_nobody_to_interrupt(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.hears("what would you like")
    await call.waits(2)
    with pytest.raises(Unmet, match=r"expected words to interrupt with 'stop' within 1 s, .*; the agent was silent"):
        await call.interrupts("stop", within=1)


async def test_a_call_that_has_ended(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.hears("what would you like")
    call.hang_up()
    assert (await call.ended()).reason is EndReason.CALLER_HANGUP
    with pytest.raises(Unmet, match=r"expected a call to say 'hello' in .*; it has ended"):
        await call.says("hello")


async def test_a_refused_call(simulation: Simulation) -> None:
    with pytest.raises(CallRefused, match="the call to 'nobody' was refused: ") as refused:
        await simulation.dial("nobody")
    assert refused.value.reason == "agent_not_found"


async def test_words_are_whole_and_in_order(simulation: Simulation, shop: SimulatedAgent) -> None:
    call = await simulation.dial(shop)
    await call.hears("the shop")
    for wrong in ("hello", "wo", "like would", "what would you like to"):
        with pytest.raises(Unmet):
            await call.hears(wrong, within=4)
    with pytest.raises(ValueError, match="no words"):
        await call.hears(" ... ")


# ── brains in Python ───────────────────────────────────────────────────────────────────────────────────────────────


class Parrot:
    def __init__(self, tools: Toolbox, variables: dict[str, str]) -> None:
        self._tools = tools
        self._name = variables.get("name", "the parrot")

    def hints(self) -> Hints:
        return Hints()

    async def open(self) -> AsyncIterator[BrainAction]:
        yield Say(f"I am {self._name}.")

    async def hear(self, heard: Heard) -> AsyncIterator[BrainAction]:
        if heard.text == "count":
            try:
                yield Say(f"It is {await self._tools.use('count', step=2)}.")
            except ToolFailed as error:
                yield Say(f"Not possible: {error}.")
        elif heard.text == "bye":
            yield Tell("mood", "null")
            yield Say("Good bye.")
            yield Finish()
        else:
            yield Say(f"You said {heard.text}." if heard.trusted else "Pardon?")

    async def wait(self) -> AsyncIterator[BrainAction]:
        yield Say("Hello?")


async def test_a_brain_in_python(simulation: Simulation) -> None:
    agent = simulation.brain("parrot", Parrot, patience=3.0)
    count = agent.tool("count", returns=4)
    call = await simulation.dial(agent, variables={"name": "Polly"})
    await call.hears("i am polly")
    await call.hears("hello", within=4)
    await call.says("count")
    await call.expects_tool("count", step=2)
    await call.hears("it is 4")
    count.fails = "the end of numbers"
    await call.says("count")
    await call.hears("not possible the end of numbers")
    await call.says("hm", misheard=True)
    await call.hears("pardon")
    await call.says("bye")
    assert await call.sees("mood") is None
    assert (await call.ended()).reason is EndReason.AGENT_COMPLETED


def test_two_agents_of_one_name(simulation: Simulation) -> None:
    simulation.brain("parrot", Parrot)
    with pytest.raises(WrongSimulation, match="there is an agent 'parrot' already"):
        simulation.brain("parrot", Parrot)


def test_nothing_runs_outside_of_a_run(simulation: Simulation) -> None:
    assert simulation.now == 0.0
    with pytest.raises(WrongSimulation, match="async def"):
        _ = simulation.world
