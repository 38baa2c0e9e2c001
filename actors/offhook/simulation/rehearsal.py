"""The agent of random runs: every word it says is said once, so that what was heard tells what was played.

What the caller says steers it: ``book`` in a sentence uses a tool, ``story`` is answered at length, ``bye`` ends the
call, ``think`` takes longer than the caller waits. Callers never say another word twice either.
"""

import random
from collections.abc import AsyncIterator, Sequence

import anyio

from offhook.actors.ports import Profile, Toolbox, ToolFailed
from offhook.protocol.call import Memory
from offhook.protocol.speech import BrainAction, Finish, Heard, Hints, Say, Voice

AGENT = "rehearsal"


class RehearsalBrain:
    """Talks in words that are all different."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools
        self._words = 0

    def hints(self) -> Hints:
        """See ``Brain``."""
        return Hints()

    def keep(self) -> str:
        """See ``Lasting``."""
        return str(self._words) if self._words else ""

    async def take_up(self, memory: Memory) -> AsyncIterator[BrainAction]:
        """See ``Lasting``."""
        self._words = int(memory.mind)
        yield Say(self._say(2))

    async def open(self) -> AsyncIterator[BrainAction]:
        """See ``Brain``."""
        yield Say(self._say(3))

    async def hear(self, heard: Heard) -> AsyncIterator[BrainAction]:
        """See ``Brain``."""
        words = heard.text.split()
        if "book" in words:
            try:
                await self._tools.use("book", day="tuesday")
            except ToolFailed:
                yield Say(self._say(2))
                return
        if "think" in words:
            await anyio.sleep(30)
        if "story" in words:
            yield Say(self._say(10))
            await anyio.sleep(0.5)
            yield Say(self._say(10))
        yield Say(self._say(3))
        if "bye" in words:
            yield Finish()

    async def wait(self) -> AsyncIterator[BrainAction]:
        """See ``Brain``."""
        yield Say(self._say(2))

    def _say(self, count: int) -> str:
        self._words += count
        return " ".join(f"a{number}" for number in range(self._words - count + 1, self._words + 1))


class Rehearsal:
    """The one agent of random runs. Its tool is slow or fails now and then."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        #: Ids of the tool uses that had their effect, in order.
        self.used: list[str] = []

    async def reach(self, agent: str, version: str | None = None) -> None:
        """See ``Agents``."""

    def profile(self, agent: str, version: str | None = None, *, variant: str | None = None) -> Profile:
        """See ``Agents``."""
        return Profile(agent=AGENT, version="1", name="Rehearsal", voice=Voice(), max_duration=120.0, patience=8.0)

    def brain(
        self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox, variant: str | None = None
    ) -> RehearsalBrain:
        """See ``Agents``."""
        return RehearsalBrain(tools)

    async def run_tool(self, agent: str, version: str, name: str, arguments: str, *, use: str) -> str:
        """See ``Agents``."""
        self.used.append(use)
        await anyio.sleep(self._chance.choice((0.0, 0.1, 2.0)))
        if self._chance.random() < 0.2:
            raise ToolFailed("the book is closed")
        return arguments

    def ids(self) -> Sequence[str]:
        """See ``Agents``."""
        return (AGENT,)
