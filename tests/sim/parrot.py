"""A small agent for tests: greets, repeats, and says goodbye."""

from collections.abc import AsyncIterator, Sequence

import anyio

from offhook.actors.ports import AgentNotFound, Profile, Toolbox, ToolFailed
from offhook.protocol.speech import BrainAction, Finish, Heard, Hints, Say, Tell, Voice


class Parrot:
    """Repeats what it hears; ``bye`` ends the call, ``think`` takes long, ``crash`` breaks it, ``book`` uses a tool."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    def hints(self) -> Hints:
        return Hints()

    async def open(self) -> AsyncIterator[BrainAction]:
        yield Say("Hello, this is the parrot.")

    async def hear(self, heard: Heard) -> AsyncIterator[BrainAction]:
        if heard.text == "bye":
            yield Tell("mood", '"happy"')
            yield Say("Good bye and thank you.")
            yield Finish()
        elif heard.text == "book":
            try:
                booked = await self._tools.use("book", day="tuesday")
            except ToolFailed:
                yield Say("That did not work.")
            else:
                yield Say(f"You are booked for {booked['day']}.")
        elif heard.text == "crash":
            raise RuntimeError("the parrot is dead")
        elif heard.text == "think":
            await anyio.sleep(60)
        elif heard.text == "story":
            yield Say("once upon a time there was a bird with a very long tale")
            yield Say("and it never came to an end because nobody stopped it")
        else:
            yield Say(f"You said {heard.text}.")

    async def wait(self) -> AsyncIterator[BrainAction]:
        yield Say("Are you still there?")


class Birds:
    """The agents of these tests: ``parrot``."""

    def __init__(
        self, *, tool_seconds: float = 0.5, tool_fails: bool = False, recorded: bool = False, consent: str = ""
    ) -> None:
        self.recorded = recorded
        self.consent = consent
        self.tool_seconds = tool_seconds
        self.tool_fails = tool_fails
        #: Ids of the tool uses that ran.
        self.ran: list[str] = []

    async def reach(self, agent: str, version: str | None = None) -> None:
        """See ``Agents``."""

    def profile(self, agent: str, version: str | None = None, *, variant: str | None = None) -> Profile:
        if agent != "parrot" or version not in {None, "1"}:
            raise AgentNotFound(f"There is no agent {agent!r} with version {version!r}.")
        return Profile(
            agent=agent,
            version="1",
            name="Parrot",
            voice=Voice(),
            max_duration=300.0,
            recorded=self.recorded,
            consent=self.consent,
        )

    def brain(
        self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox, variant: str | None = None
    ) -> Parrot:
        self.profile(agent, version)
        return Parrot(tools)

    async def run_tool(self, agent: str, version: str, name: str, arguments: str, *, use: str) -> str:
        await anyio.sleep(self.tool_seconds)
        self.ran.append(use)
        if self.tool_fails:
            raise ToolFailed("the book is closed")
        return arguments

    def ids(self) -> Sequence[str]:
        return ("parrot",)
