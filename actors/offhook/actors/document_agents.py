"""Agents that are documents: the ``Agents`` port over flows and echoes, with the code of their tools."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from offhook.actors.flow_brain import EchoBrain, FlowBrain
from offhook.actors.ports import AgentNotFound, Brain, Clock, Profile, Toolbox, ToolFailed
from offhook.protocol.agent import AgentDocument, DocumentError, Echo, Problem, load_agent
from offhook.protocol.agent.analysis import AnalysisWanted
from offhook.protocol.agent.document import DAYS, variants
from offhook.protocol.agent.problems import line_of, locate

#: The code of a tool: takes the parameters by name, returns what JSON can hold. Raises ``ToolFailed``.
Tool = Callable[..., Awaitable[Any]]


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
    """The ``Agents`` port over documents, one version of each."""

    def __init__(self, clock: Clock | None = None, *, tools: Mapping[str, Tool] | None = None) -> None:
        """Without a ``clock`` no agent knows which day it is; ``tools`` are those of every document."""
        self._clock = clock
        self._tools = tools or {}
        self._documents: dict[str, AgentDocument] = {}

    def add(self, text: str, *, file: str) -> AgentDocument:
        """Take a document; one without a version label gets the first 8 hex digits of its SHA-256.

        Raises ``DocumentError``, also when there is an agent of this id; ``file`` only names the document in it.
        """
        document = read_document(text, file=file)
        if document.id in self._documents:
            message = f"another document has the id `{document.id}` already; give this one another id"
            raise DocumentError(file, (Problem(line_of(locate(text), ("id",)), "id", message),))
        label = document.version or hashlib.sha256(text.encode()).hexdigest()[:8]
        document = msgspec.structs.replace(document, version=label)
        self._documents[document.id] = document
        return document

    def document(self, agent: str, version: str | None = None) -> AgentDocument:
        """The document of an agent. Raises ``AgentNotFound``, also for a version that is not here."""
        found = self._documents.get(agent)
        if found is None:
            raise AgentNotFound(f"there is no agent {agent!r}")
        if version is not None and version != found.version:
            raise AgentNotFound(f"the agent {agent!r} has no version {version!r}")
        return found

    def profile(self, agent: str, version: str | None = None) -> Profile:
        """What a voice node must know of an agent. Raises ``AgentNotFound``."""
        found = self.document(agent, version)
        return Profile(
            agent=agent,
            version=found.version,
            name=found.name,
            voice=found.voice,
            patience=found.limits.patience,
            max_duration=found.limits.max_duration,
            recorded=found.recording.on,
            consent=found.recording.consent,
        )

    def analysis(self, agent: str, version: str | None = None) -> AnalysisWanted | None:
        """What to find out about a call of an agent; of a version that is not here, what its present one asks."""
        try:
            return self.document(agent, version).analysis
        except AgentNotFound:
            return self.analysis(agent) if version is not None else None

    def brain(self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox) -> Brain:
        """A brain for one call. Raises ``AgentNotFound``."""
        found = self.document(agent, version)
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
        """All agent ids, sorted."""
        return sorted(self._documents)

    def _today(self, document: AgentDocument) -> str | None:
        """The weekday where the agent is at home."""
        if self._clock is None:
            return None
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        return DAYS[at.astimezone(ZoneInfo(document.timezone)).weekday()]
