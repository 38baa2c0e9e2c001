"""What of a mind is kept for another agent."""

from collections.abc import AsyncIterator

import anyio
import pytest

from offhook.actors.flow_brain import EchoBrain
from offhook.actors.mind import LONGEST_MIND, Mind, Thought, take_up
from offhook.actors.ports import Lasting
from offhook.protocol.call import Memory
from offhook.protocol.speech import BrainAction, Say

pytestmark = pytest.mark.anyio


class Notebook(EchoBrain):
    """An echo that remembers ``notes``."""

    def __init__(self, notes: str = "") -> None:
        super().__init__()
        self.notes = notes

    def keep(self) -> str:
        return self.notes

    async def take_up(self, memory: Memory) -> AsyncIterator[BrainAction]:
        self.notes = memory.mind
        yield Say("Where were we?")


async def _ignore(_thought: Thought) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("brain", "kept"),
    [
        (EchoBrain(), ""),
        (Notebook(), ""),
        (Notebook("x" * LONGEST_MIND), "x" * LONGEST_MIND),
        (Notebook("x" * (LONGEST_MIND + 1)), ""),
        (Notebook("\N{SNOWMAN}" * (LONGEST_MIND // 3 + 1)), ""),
    ],
    ids=["forgetful", "empty", "just small enough", "too large", "too large in bytes"],
)
async def test_what_is_kept(brain: EchoBrain, kept: str) -> None:
    async with anyio.create_task_group() as tasks:
        assert Mind(brain, tell=_ignore, tasks=tasks).keep() == kept


async def test_a_brain_goes_on_with_what_was_kept_and_one_that_cannot_is_asked_as_after_a_silence() -> None:
    brain = Notebook()
    assert isinstance(brain, Lasting)
    memory = Memory(mind="tuesday", greeted=True)
    assert [action async for action in take_up(brain, memory)] == [Say("Where were we?")]
    assert brain.notes == "tuesday"
    for forgetful, known in ((EchoBrain(), memory), (Notebook(), Memory(greeted=True))):
        assert [action async for action in take_up(forgetful, known)] == [Say("I am listening.")]
