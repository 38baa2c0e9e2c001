"""The brain along a document: it stands where the actions that were taken left it (A2)."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from offhook.actors.flow_brain import EchoBrain, FlowBrain
from offhook.actors.ports import Brain, Lasting, ToolFailed
from offhook.protocol.agent import AgentDocument, load_agent
from offhook.protocol.call import EndReason, Memory, ToolUse
from offhook.protocol.speech import BrainAction, Finish, Heard, Say, Tell

FRONT_DESK = Path(__file__).parents[2] / "services/offhook/services/agents/front-desk.toml"
DESK = load_agent(FRONT_DESK.read_text(), file="front-desk.toml")

pytestmark = pytest.mark.anyio


async def hear(brain: Brain, text: str) -> list[BrainAction]:
    return [action async for action in brain.hear(Heard(text=text))]


async def test_a_whole_call() -> None:
    brain: Brain = FlowBrain(DESK, variables={"visitor": "Anna"}, today="friday")
    assert brain.hints().grammar is None
    opening = [action async for action in brain.open()]
    assert opening[0] == Say("Hello Anna, this is the front desk of Riverside Studio.")
    grammar = brain.hints().grammar
    assert grammar is not None and "tomorrow" not in grammar.split("<slot_time>")[0] and "<slot_day>" in grammar
    assert brain.hints().sentences
    await hear(brain, "book tomorrow at noon")
    said = await hear(brain, "yes")
    assert said[0] == Tell("appointment", '{"day": "saturday", "time": "12:00"}')
    assert isinstance((await hear(brain, "no"))[-1], Finish)


async def test_an_answer_that_was_never_begun_did_not_happen() -> None:
    brain = FlowBrain(DESK)
    _ = [action async for action in brain.open()]
    before = brain.state
    brain.hear(Heard(text="book monday"))
    assert brain.state == before


async def test_an_interrupted_answer_stands_where_it_was_cut() -> None:
    brain = FlowBrain(DESK)
    _ = [action async for action in brain.open()]
    await hear(brain, "book monday at three")
    actions = brain.hear(Heard(text="yes"))
    assert isinstance(await anext(actions), Tell)
    assert isinstance(actions, AsyncGenerator)
    await actions.aclose()
    assert brain.state is not None and brain.state.node == "book"
    # The appointment was told; the words about it were not said.
    assert not any(isinstance(action, Tell) for action in await hear(brain, "thank you"))


async def test_a_stored_state_goes_on_in_another_brain() -> None:
    brain = FlowBrain(DESK)
    _ = [action async for action in brain.open()]
    await hear(brain, "book monday")
    other = FlowBrain(DESK, state=brain.state)
    assert other.hints() == brain.hints()
    assert await hear(other, "at three") == await hear(brain, "at three")


async def test_silence_ends_the_call() -> None:
    brain = FlowBrain(DESK)
    _ = [action async for action in brain.open()]
    assert not any(isinstance(action, Finish) for action in [action async for action in brain.wait()])
    assert isinstance([action async for action in brain.wait()][-1], Finish)


async def test_echo() -> None:
    brain: Brain = EchoBrain()
    assert [action async for action in brain.open()] == [Say("Say something, and I will repeat it.")]
    assert await hear(brain, "good morning") == [Say("You said: good morning.")]
    assert [action async for action in brain.wait()] == [Say("I am listening.")]


async def test_the_page_sets_a_variable_from_the_next_move_on() -> None:
    brain = FlowBrain(DESK, variables={"visitor": "Anna"})
    brain.inform("visitor", "Berta")
    brain.inform("unknown", "x")
    opening = [action async for action in brain.open()]
    assert opening[0] == Say("Hello Berta, this is the front desk of Riverside Studio.")
    brain.inform("visitor", "Clara")
    actions = brain.hear(Heard(text="where are you"))
    await anext(actions)
    brain.inform("visitor", "Dora")
    _ = [action async for action in actions]
    assert brain.state is not None and brain.state.variables["visitor"] == "Clara"
    await hear(brain, "where are you")
    assert brain.state.variables == {"visitor": "Dora"}


# ── tools ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SHOP = load_agent(
    """
id = "shop"
name = "Shop"

[brain]
kind = "flow"
start = "start"

[tools.order]

[intents.order]
phrases = ["order"]
go = "order"

[intents.hello]
phrases = ["hello"]
say = "Hello."

[nodes.start]
kind = "ask"
say = "Yes?"
on = { order = "order" }

[nodes.order]
kind = "tool"
tool = "order"
next = "ordered"

[nodes.ordered]
kind = "say"
say = "Ordered as {order.number}."
next = "start"

[nodes.never]
kind = "end"
say = "Goodbye."

[intents.bye]
phrases = ["bye"]
go = "never"
""",
    file="shop.toml",
)


class SlowTools:
    """Takes a moment; as the real toolbox does, it cannot be stopped once it has begun."""

    def __init__(self) -> None:
        self.used: list[str] = []
        self.go = anyio.Event()
        self.refuses = False

    async def use(self, name: str, **arguments: Any) -> Any:
        if self.refuses:
            raise ToolFailed("closed")
        await anyio.lowlevel.checkpoint()
        self.used.append(name)
        with anyio.CancelScope(shield=True):
            await self.go.wait()
        return {"number": len(self.used)}


async def _interrupted(brain: FlowBrain, tools: SlowTools) -> list[BrainAction]:
    """What the brain hands over when it is stopped while its tool runs."""
    handed_over: list[BrainAction] = []

    async def think() -> None:
        handed_over.extend([action async for action in brain.hear(Heard(text="order"))])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(think)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        tools.go.set()
    return handed_over


async def test_a_tool_is_used_and_its_result_said() -> None:
    tools = SlowTools()
    tools.go.set()
    brain = FlowBrain(SHOP, tools=tools)
    _ = [action async for action in brain.open()]
    assert await hear(brain, "order") == [Say("Ordered as 1."), Say("Yes?")]
    assert await hear(brain, "order") == [Say("Ordered as 2."), Say("Yes?")]


async def test_a_caller_who_interrupts_a_tool_is_told_and_answered_and_it_runs_once() -> None:
    tools = SlowTools()
    brain = FlowBrain(SHOP, tools=tools)
    _ = [action async for action in brain.open()]
    assert await _interrupted(brain, tools) == []
    assert await hear(brain, "hello") == [Say("Ordered as 1."), Say("Hello."), Say("Yes?")]
    assert tools.used == ["order"]


async def test_a_silence_after_an_interrupted_tool_brings_its_outcome() -> None:
    tools = SlowTools()
    brain = FlowBrain(SHOP, tools=tools)
    _ = [action async for action in brain.open()]
    await _interrupted(brain, tools)
    said = [action async for action in brain.wait()]
    assert said[0] == Say("Ordered as 1.")


async def test_a_tool_that_was_stopped_before_it_began_is_used_with_the_next_words() -> None:
    tools = SlowTools()
    tools.go.set()
    brain = FlowBrain(SHOP, tools=tools)
    _ = [action async for action in brain.open()]
    with anyio.CancelScope() as scope:
        scope.cancel()
        await hear(brain, "order")
    assert tools.used == []
    assert await hear(brain, "hello") == [Say("Ordered as 1."), Say("Hello."), Say("Yes?")]


@pytest.mark.parametrize("given", [True, False])
async def test_a_tool_that_fails_is_told(given: bool) -> None:
    tools = SlowTools()
    tools.refuses = True
    brain = FlowBrain(SHOP, tools=tools if given else None)
    _ = [action async for action in brain.open()]
    assert await hear(brain, "order") == [Say("I am sorry, that did not work just now."), Say("Yes?")]


# ── taken up by another brain ──────────────────────────────────────────────────────────────────────────────────────


async def take_up(document: AgentDocument, memory: Memory) -> tuple[FlowBrain, list[BrainAction]]:
    brain = FlowBrain(document)
    assert isinstance(brain, Lasting)
    return brain, [action async for action in brain.take_up(memory)]


async def test_a_brain_without_a_state_has_nothing_to_keep() -> None:
    assert FlowBrain(DESK).keep() == ""


async def test_another_brain_says_what_was_not_heard_once_more_and_knows_the_answers() -> None:
    brain = FlowBrain(DESK, variables={"visitor": "Anna"})
    _ = [action async for action in brain.open()]
    said = await hear(brain, "book monday")
    other, words = await take_up(DESK, Memory(mind=brain.keep(), unheard=True))
    assert words == said
    assert other.hints() == brain.hints()
    assert await hear(other, "at three") == await hear(brain, "at three")


async def test_another_brain_asks_the_present_question_when_all_was_heard() -> None:
    brain = FlowBrain(SHOP)
    opening = [action async for action in brain.open()]
    _, words = await take_up(SHOP, Memory(mind=brain.keep()))
    assert words == opening[-1:] == [Say("Yes?")]
    await hear(brain, "hello")
    _, words = await take_up(SHOP, Memory(mind=brain.keep(), unheard=True))
    assert words == [Say("Hello."), Say("Yes?")]


async def test_what_the_page_told_last_is_kept() -> None:
    brain = FlowBrain(DESK, variables={"visitor": "Anna"})
    _ = [action async for action in brain.open()]
    brain.inform("visitor", "Berta")
    other, _ = await take_up(DESK, Memory(mind=brain.keep()))
    assert other.state is not None and other.state.variables["visitor"] == "Berta"


@pytest.mark.parametrize(
    ("result", "error", "first"),
    [
        ('{"number": 7}', None, Say("Ordered as 7.")),
        (None, "closed", Say("I am sorry, that did not work just now.")),
        (None, None, Say("I am sorry, that did not work just now.")),
    ],
)
async def test_another_brain_knows_what_became_of_a_tool_and_does_not_use_it_again(
    result: str | None, error: str | None, first: Say
) -> None:
    tools, kept = SlowTools(), list[str]()

    class Keeping(SlowTools):
        async def use(self, name: str, **arguments: Any) -> Any:
            kept.append(brain.keep())
            return await tools.use(name, **arguments)

    tools.go.set()
    brain = FlowBrain(SHOP, tools=Keeping())
    _ = [action async for action in brain.open()]
    await hear(brain, "order")
    use = ToolUse(id="c:1", name="order", result=result, error=error)
    other, words = await take_up(SHOP, Memory(mind=kept[0], unheard=True, since=(use,), uses=1))
    assert words == [first, Say("Yes?")]
    assert other.state is not None and other.state.node == "start"


async def test_a_goodbye_that_was_not_heard_is_said_again_and_ends_the_call() -> None:
    brain = FlowBrain(SHOP)
    _ = [action async for action in brain.open()]
    said = await hear(brain, "bye")
    for unheard, words in ((True, said), (False, said[-1:])):
        assert (await take_up(SHOP, Memory(mind=brain.keep(), unheard=unheard)))[1] == words
    assert said == [Say("Goodbye."), Finish()]


async def test_a_silence_that_has_ended_a_call_ends_it_as_silence() -> None:
    brain = FlowBrain(SHOP)
    for actions in (brain.open(), brain.wait(), brain.wait()):
        said = [action async for action in actions]
    assert said[-1] == Finish(EndReason.SILENCE)
    assert (await take_up(SHOP, Memory(mind=brain.keep(), unheard=True)))[1] == said


async def test_a_number_that_was_dialed_in_part_is_asked_for_anew() -> None:
    brain = FlowBrain(PHONE)
    _ = [action async for action in brain.open()]
    for digit in "123":
        await hear(brain, digit)
    other, words = await take_up(PHONE, Memory(mind=brain.keep(), unheard=True))
    assert words == [Say("Your number?")]
    for digit in "55501":
        await hear(other, digit)
    assert await hear(other, "#") == [Say("Thank you."), Finish()]
    assert other.state is not None and other.state.slots == {"number": "55501"}


PHONE = load_agent(
    """
id = "phone"
name = "Phone"

[brain]
kind = "flow"
start = "start"

[slots.number]
type = "phone"

[nodes.start]
kind = "ask"
say = "Your number?"
slot = "number"
next = "done"

[nodes.done]
kind = "end"
say = "Thank you."
""",
    file="phone.toml",
)
