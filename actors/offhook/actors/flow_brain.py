"""Two brains that need nothing from outside: a conversation along an agent document, and an echo."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import anyio.lowlevel
import msgspec

from offhook.actors.ports import Toolbox, ToolFailed
from offhook.protocol import flow
from offhook.protocol.agent import AgentDocument
from offhook.protocol.call import Memory, ToolUse
from offhook.protocol.flow import FlowState, Step, UseTool
from offhook.protocol.speech import BrainAction, Heard, Hints, Say

log = logging.getLogger("offhook.brain")


class FlowBrain:
    """A brain that follows a document. ``state`` may be stored and given to another one; it lasts (``Lasting``).

    Before the call is opened there is no state, and nothing is expected to be heard.
    """

    def __init__(
        self,
        document: AgentDocument,
        *,
        variables: dict[str, str] | None = None,
        today: str | None = None,
        state: FlowState | None = None,
        tools: Toolbox | None = None,
    ) -> None:
        """``today`` is the weekday of the call (``monday``), None when it is not known; without ``tools`` all fail."""
        self._document = document
        self._variables = variables or {}
        self._today = today
        self._tools = tools
        #: Variables the page has sent since the last move.
        self._news: dict[str, str] = {}
        self._sentences = flow.sentences(document)
        self.state = state

    def hints(self) -> Hints:
        """What makes sense in the present node."""
        if self.state is None:
            return Hints(sentences=self._sentences, language=self._document.languages[0])
        return flow.hints(self._document, self.state, sentences=self._sentences)

    def inform(self, name: str, data: str) -> None:
        """See ``Informed``: information with the name of a variable is its new value, from the next move on."""
        if name in self._document.variables:
            self._news[name] = data

    def keep(self) -> str:
        """See ``Lasting``: JSON text of the state, with what the page has sent since."""
        return "" if self.state is None else msgspec.json.encode(self._informed(self.state)).decode()

    def take_up(self, memory: Memory) -> AsyncGenerator[BrainAction, None]:
        """See ``Lasting``. A tool whose outcome is not known counts as failed."""
        state = msgspec.json.decode(memory.mind, type=FlowState)
        for use in memory.since[-1:]:
            state = self._know(use, state)
        self.state = state
        again = memory.unheard and not memory.since
        return self._move(lambda state: flow.take_up(self._document, state, again=again))

    def open(self) -> AsyncGenerator[BrainAction, None]:
        """Greet and ask the first question."""
        return self._move(None)

    def hear(self, heard: Heard) -> AsyncGenerator[BrainAction, None]:
        """Answer what was heard."""
        return self._move(lambda state: flow.hear(self._document, state, heard))

    def wait(self) -> AsyncGenerator[BrainAction, None]:
        """Ask whether somebody is there; the second time, say goodbye."""
        return self._move(lambda state: flow.wait(self._document, state))

    async def _move(self, answer: Callable[[FlowState], tuple[Step, ...]] | None) -> AsyncGenerator[BrainAction, None]:
        """Open the call; once it is open, finish what an interruption left open, then ``answer``."""
        if self.state is None or answer is None:
            variables = {**self._variables, **self._news}
            parts = [(flow.open_flow(self._document, variables, today=self._today), True)]
        else:
            self.state = state = self._informed(self.state)
            parts = [(flow.unfinished(self._document, state), False)]
        while parts:
            steps, ask = parts.pop()
            for step in steps:
                # Before the yield: an action that was handed over has happened, whether or not we are resumed.
                self.state = state = step.state
                if isinstance(step.action, UseTool):
                    self.state = state = await self._use(step.action, state)
                    # The tool ran to its end; who spoke meanwhile is heard first, and then told what became of it.
                    await anyio.lowlevel.checkpoint()
                    parts.append((flow.go_on(self._document, state, ask=ask), ask))
                else:
                    yield step.action
            if not parts and not ask and answer is not None:
                parts.append((answer(state), True))

    def _informed(self, state: FlowState) -> FlowState:
        return state.but(variables={**state.variables, **self._news})

    def _know(self, use: ToolUse, state: FlowState) -> FlowState:
        """The state once it is known what became of the tool it waits for."""
        if use.result is None:
            return flow.failed(state)
        return flow.returned(self._document, state, json.loads(use.result))

    async def _use(self, use: UseTool, state: FlowState) -> FlowState:
        try:
            if self._tools is None:
                raise ToolFailed("this agent runs without tools")
            return flow.returned(self._document, state, await self._tools.use(use.name, **use.arguments))
        except ToolFailed as error:
            log.warning("tool failed", extra={"tool": use.name, "why": str(error)})
            return flow.failed(state)


class EchoBrain:
    """Repeats what it heard."""

    def __init__(self, *, greeting: tuple[str, ...] = (), language: str = "en-us") -> None:
        self._greeting = greeting or ("Say something, and I will repeat it.",)
        self._language = language

    def hints(self) -> Hints:
        """Anything may come."""
        return Hints(language=self._language)

    async def open(self) -> AsyncIterator[BrainAction]:
        """Say what this is."""
        for text in self._greeting:
            yield Say(text)

    async def hear(self, heard: Heard) -> AsyncIterator[BrainAction]:
        """Repeat it."""
        yield Say(f"You said: {heard.text}." if heard.text else "I heard nothing.")

    async def wait(self) -> AsyncIterator[BrainAction]:
        """Invite the caller to speak."""
        yield Say("I am listening.")
