"""The brain along a document: it stands where the actions that were taken left it (A2)."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from offhook.actors.flow_brain import EchoBrain, FlowBrain
from offhook.actors.ports import Brain
from offhook.protocol.agent import load_agent
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
