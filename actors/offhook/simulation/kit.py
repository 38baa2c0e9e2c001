"""The kit with which developers test their own agents: agents, their tools, and calls that read like a script.

``Simulation`` holds the agents of one test and opens the world that its calls run in: real actors; simulated bus,
media, speech and time. Speech is text: what a caller says reaches the agent as words, in the time it takes to say
them; ``heard_as`` and ``misheard`` are how a recognizer errs. ``docs/simulate.md`` is the guide.
"""

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec

from offhook.actors.document_agents import DocumentAgents, Tool
from offhook.actors.ports import AgentNotFound, Brain, Profile, Toolbox, ToolFailed
from offhook.protocol.speech import Voice
from offhook.simulation.identities import EPOCH
from offhook.simulation.script import Call, CallRefused
from offhook.simulation.tools import SimulatedTool, ToolUse
from offhook.simulation.world import World, open_world

#: Makes the brain of one call, from its tools and variables.
MakeBrain = Callable[[Toolbox, dict[str, str]], Brain]


class WrongSimulation(Exception):
    """A test asks for something that a simulation cannot be; the message says what to do."""


class SimulatedAgent:
    """An agent that can be dialed."""

    def __init__(self, name: str, *, declared: frozenset[str] | None, news: Callable[[], None]) -> None:
        self.id = name
        self._declared = declared
        self._news = news
        #: Its tools by name.
        self.tools: dict[str, SimulatedTool] = {}

    def tool(
        self,
        name: str,
        run: Tool | None = None,
        *,
        returns: Any = None,
        takes: float = 0.0,
        fails: str | None = None,
    ) -> SimulatedTool:
        """Give the agent a tool: real code (``run``, an async function), or what it ``returns``, or why it ``fails``.

        ``takes`` is in virtual seconds. Raises ``WrongSimulation`` when the agent's document declares no such tool.
        """
        if self._declared is not None and name not in self._declared:
            there = f"it declares {', '.join(sorted(self._declared))}" if self._declared else "it declares none"
            raise WrongSimulation(f"the document of {self.id!r} has no tool {name!r}; {there}")
        if run is not None and (returns is not None or fails is not None):
            raise WrongSimulation(f"the tool {name!r} has real code, which returns or fails by itself")
        made = SimulatedTool(name, run, returns=returns, takes=takes, fails=fails, news=self._news)
        self.tools[name] = made
        return made


class _Thinker(msgspec.Struct, frozen=True):
    """An agent with a brain written in Python."""

    profile: Profile
    make: MakeBrain


class _Hosted:
    """The ``Agents`` port over the agents of a simulation."""

    def __init__(self, simulation: "Simulation") -> None:
        self.agents: dict[str, SimulatedAgent] = {}
        self.thinkers: dict[str, _Thinker] = {}
        self.documents = DocumentAgents(simulation.clock)

    async def reach(self, agent: str, version: str | None = None) -> None:
        """See ``Agents``."""

    def profile(self, agent: str, version: str | None = None, *, variant: str | None = None) -> Profile:
        """See ``Agents``."""
        if agent not in self.thinkers:
            return self.documents.profile(agent, version, variant=variant)
        profile = self.thinkers[agent].profile
        if version not in {None, profile.version}:
            raise AgentNotFound(f"the agent {agent!r} has no version {version!r}")
        return profile

    def brain(
        self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox, variant: str | None = None
    ) -> Brain:
        """See ``Agents``."""
        if agent not in self.thinkers:
            return self.documents.brain(agent, version, variables=variables, tools=tools, variant=variant)
        return self.thinkers[agent].make(tools, dict(variables))

    async def run_tool(self, agent: str, version: str, name: str, arguments: str, *, use: str) -> str:
        """See ``Agents``."""
        tool = self.agents[agent].tools.get(name)
        if tool is None:
            raise ToolFailed(f"the test gave the agent {agent!r} no tool {name!r}")
        return json.dumps(await tool.use(json.loads(arguments), use))

    def ids(self) -> Sequence[str]:
        """See ``Agents``."""
        return sorted(self.agents)


class SimulationClock:
    """The wall clock of the world: at the beginning it is a Monday, 09:00 UTC."""

    def __init__(self) -> None:
        self.running = False

    def now(self) -> float:
        """See ``Clock``."""
        return EPOCH + (anyio.current_time() if self.running else 0.0)


class Simulation:
    """The agents and calls of one test. ``seed`` decides in which order things happen that happen at one time."""

    def __init__(self, *, folder: Path = Path(), seed: int = 0) -> None:
        """``folder`` is where agent documents are looked for."""
        self.seed = seed
        #: Chance for the test and its brains: the same with each run of one seed.
        self.random = random.Random(seed)  # noqa: S311, nothing here is a secret
        self.clock = SimulationClock()
        #: The calls so far, oldest first.
        self.calls: list[Call] = []
        self._folder = folder
        self._hosted = _Hosted(self)
        self._world: World | None = None

    @property
    def world(self) -> World:
        """The world the calls run in, for what the kit has no word for. Raises ``WrongSimulation`` outside of a run."""
        if self._world is None:
            raise WrongSimulation("nothing runs yet: calls can only be made in an `async def` test of this simulation")
        return self._world

    @property
    def now(self) -> float:
        """Virtual seconds since the simulation began."""
        return anyio.current_time() if self._world is not None else 0.0

    def agent(self, document: str | Path) -> SimulatedAgent:
        """An agent from a document on disk, unchanged. Raises ``DocumentError``, and ``OSError`` if there is none."""
        file = self._folder / document
        loaded = self._hosted.documents.add(file.read_text(encoding="utf-8"), file=str(document))
        return self._add(loaded.id, frozenset(loaded.tools))

    def brain(
        self,
        name: str,
        make: MakeBrain,
        *,
        patience: float = 10.0,
        max_duration: float = 1800.0,
    ) -> SimulatedAgent:
        """An agent with a brain written in Python; ``make`` gets the tools and the variables of each call."""
        profile = Profile(
            agent=name, version="1", name=name, voice=Voice(), patience=patience, max_duration=max_duration
        )
        self._hosted.thinkers[name] = _Thinker(profile, make)
        return self._add(name, None)

    def _add(self, name: str, declared: frozenset[str] | None) -> SimulatedAgent:
        if name in self._hosted.agents:
            raise WrongSimulation(f"there is an agent {name!r} already")
        agent = self._hosted.agents[name] = SimulatedAgent(name, declared=declared, news=self._tell_calls)
        return agent

    async def dial(self, agent: SimulatedAgent | str, *, variables: dict[str, str] | None = None, **offer: Any) -> Call:
        """Call an agent and wait until the call is set up; further fields of the offer (``callee`` ...) by name.

        Raises ``CallRefused``.
        """
        name = agent.id if isinstance(agent, SimulatedAgent) else agent
        began = self.now
        line = await self.world.dial(name, variables=variables or {}, **offer)
        if not line.id:
            raise CallRefused(name, line.errors[0])
        call = Call(self.world, line, agent=name, began=began, variables=variables or {}, uses=self._uses_in)
        self.calls.append(call)
        self._tasks.start_soon(call.listen)
        return call

    def _uses_in(self, call: str) -> list[ToolUse]:
        """The uses of tools in a call, oldest first."""
        tools = (tool for agent in self._hosted.agents.values() for tool in agent.tools.values())
        return sorted((use for tool in tools for use in tool.uses if use.call == call), key=lambda use: use.began)

    def _tell_calls(self) -> None:
        for call in self.calls:
            call.notice()

    @asynccontextmanager
    async def running(self, *, gateways: int = 1, voices: int = 1) -> AsyncIterator[World]:
        """Open the world with so many nodes; leaving it ends everything in it."""
        async with (
            open_world(self._hosted, gateways=gateways, voices=voices) as self._world,
            anyio.create_task_group() as self._tasks,
        ):
            self.clock.running = True
            try:
                yield self._world
            finally:
                self._tasks.cancel_scope.cancel()
