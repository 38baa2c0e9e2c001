"""Agents that are documents: the ``Agents`` port over flows and echoes, with the code of their tools."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from offhook.actors.flow_brain import EchoBrain, FlowBrain
from offhook.actors.ports import AgentNotFound, Brain, Clock, Profile, Toolbox, ToolFailed, VariantNotFound
from offhook.protocol.agent import AgentDocument, DocumentError, Echo, Problem, load_agent
from offhook.protocol.agent.analysis import AnalysisWanted
from offhook.protocol.agent.document import DAYS, variants, vary
from offhook.protocol.agent.problems import line_of, locate

#: The code of a tool: takes the parameters by name, returns what JSON can hold. Raises ``ToolFailed``.
Tool = Callable[..., Awaitable[Any]]

#: Versions that are kept at hand beside those that serve.
MOST_OTHERS = 500


def read_document(text: str, *, file: str) -> AgentDocument:
    """Read and check a document, its time zone too. Raises ``DocumentError``; ``file`` only names the text in it."""
    document = load_agent(text, file=file)
    try:
        ZoneInfo(document.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"there is no time zone `{document.timezone}`; write one such as Europe/London"
        raise DocumentError(file, (Problem(line_of(locate(text), ("timezone",)), "timezone", message),)) from error
    return document


class DocumentAgents:
    """The ``Agents`` port over documents: of each agent the version that serves, and others by their name."""

    def __init__(self, clock: Clock | None = None, *, tools: Mapping[str, Tool] | None = None) -> None:
        """Without a ``clock`` no agent knows which day it is; ``tools`` are those of every document."""
        self._clock = clock
        self._tools = tools or {}
        self._served: dict[str, AgentDocument] = {}
        #: By agent and label; those that came last stand last.
        self._others: dict[tuple[str, str], AgentDocument] = {}
        self._drafts: set[tuple[str, str]] = set()

    def add(self, text: str, *, file: str) -> AgentDocument:
        """Take a document; one without a version label gets the first 8 hex digits of its SHA-256.

        Raises ``DocumentError``, also when there is an agent of this id; ``file`` only names the document in it.
        """
        document = read_document(text, file=file)
        if document.id in self._served:
            message = f"another document has the id `{document.id}` already; give this one another id"
            raise DocumentError(file, (Problem(line_of(locate(text), ("id",)), "id", message),))
        label = document.version or hashlib.sha256(text.encode()).hexdigest()[:8]
        document = msgspec.structs.replace(document, version=label)
        self._served[document.id] = document
        return document

    def serve(self, document: AgentDocument) -> None:
        """From now on this version serves the public; the one before stays at hand for the calls that have it."""
        before = self._served.get(document.id)
        if before is not None and before.version != document.version:
            self.keep(before, name=before.version)
        self._served[document.id] = document
        self._drafts.discard((document.id, document.version))

    def keep(self, document: AgentDocument, *, name: str, draft: bool = False) -> None:
        """Have a version at hand under ``name``, beside that which serves; of many the one that came first goes."""
        key = (document.id, name)
        self._others.pop(key, None)
        self._others[key] = document
        if draft:
            self._drafts.add((document.id, document.version))
        else:
            self._drafts.discard((document.id, document.version))
        while len(self._others) > MOST_OTHERS:
            del self._others[next(iter(self._others))]

    def withdraw(self, agent: str) -> None:
        """From now on no version serves the public; that which did stays at hand for the calls that have it."""
        before = self._served.pop(agent, None)
        if before is not None:
            self.keep(before, name=before.version)

    def forget(self, agent: str) -> None:
        """No version is at hand any more."""
        self._served.pop(agent, None)
        for key in [key for key in self._others if key[0] == agent]:
            del self._others[key]
        self._drafts = {key for key in self._drafts if key[0] != agent}

    def document(self, agent: str, version: str | None = None) -> AgentDocument:
        """The document of an agent. Raises ``AgentNotFound``, also for a version that is not here."""
        served = self._served.get(agent)
        if served is not None and version in {None, served.version}:
            return served
        if version is not None and (other := self._others.get((agent, version))) is not None:
            return other
        if version is None or (served is None and not any(key[0] == agent for key in list(self._others))):
            raise AgentNotFound(f"there is no agent {agent!r}")
        raise AgentNotFound(f"the agent {agent!r} has no version {version!r}")

    def is_draft(self, agent: str, label: str) -> bool:
        """Whether this version was never published."""
        return (agent, label) in self._drafts

    def _variant(self, agent: str, version: str | None, variant: str | None) -> AgentDocument:
        """The document as a variant has it; a document without variants takes any name, for the record alone."""
        found = self.document(agent, version)
        if variant is None or not found.variants:
            return found
        if variant not in found.variants:
            names = ", ".join(sorted(found.variants))
            raise VariantNotFound(f"the agent {agent!r} has no variant {variant!r}; it has: {names}")
        return vary(found, found.variants[variant])

    async def reach(self, agent: str, version: str | None = None) -> None:
        """See ``Agents``: all there is is at hand."""

    def profile(self, agent: str, version: str | None = None, *, variant: str | None = None) -> Profile:
        """What a voice node must know of an agent. Raises ``AgentNotFound``, ``VariantNotFound``."""
        found = self._variant(agent, version, variant)
        return Profile(
            agent=agent,
            version=found.version,
            name=found.name,
            voice=found.voice,
            patience=found.limits.patience,
            max_duration=found.limits.max_duration,
            recorded=found.recording.on,
            consent=found.recording.consent,
            draft=self.is_draft(agent, found.version),
        )

    def analysis(self, agent: str, version: str | None = None) -> AnalysisWanted | None:
        """What to find out about a call of an agent; of a version that is not here, what its present one asks."""
        try:
            return self.document(agent, version).analysis
        except AgentNotFound:
            return self.analysis(agent) if version is not None else None

    def brain(
        self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox, variant: str | None = None
    ) -> Brain:
        """A brain for one call. Raises ``AgentNotFound``, ``VariantNotFound``."""
        found = self._variant(agent, version, variant)
        if isinstance(found.brain, Echo):
            return EchoBrain(greeting=variants(found.greeting), language=found.languages[0])
        return FlowBrain(found, variables=variables, today=self._today(found), tools=tools)

    async def run_tool(self, agent: str, version: str, name: str, arguments: str, *, use: str) -> str:  # noqa: ARG002
        """Run the code of a tool. Raises ``ToolFailed``, also when nobody gave its code."""
        tool = self._tools.get(name)
        if tool is None:
            raise ToolFailed(f"nobody runs the tool {name!r} of the agent {agent!r}")
        result = await tool(**json.loads(arguments))
        try:
            return json.dumps(result)
        except (TypeError, ValueError) as error:
            raise ToolFailed(f"the tool {name!r} returned what JSON can not hold: {error}") from error

    def ids(self) -> Sequence[str]:
        """Ids of all agents that serve the public, sorted."""
        return sorted(self._served)

    def _today(self, document: AgentDocument) -> str | None:
        """The weekday where the agent is at home."""
        if self._clock is None:
            return None
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        return DAYS[at.astimezone(ZoneInfo(document.timezone)).weekday()]
