"""A folder of agent documents as the agents of a node."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from offhook.actors.flow_brain import EchoBrain, FlowBrain
from offhook.actors.ports import AgentNotFound, Brain, Clock, Profile, Toolbox, ToolFailed
from offhook.protocol.agent import AgentDocument, DocumentError, Echo, Problem, load_agent
from offhook.protocol.agent.document import DAYS, variants
from offhook.protocol.agent.problems import line_of, locate

#: File name of the demo agent, ``front-desk``.
DEMO = "front-desk.toml"


def open_agents(folder: Path | None, *, clock: Clock | None = None) -> "FolderAgents":
    """The agents of ``*.toml`` in ``folder`` and, unless the folder has an agent of this id, the demo.

    Without a ``clock`` no agent knows which day it is. Raises ``DocumentError`` for the first document that cannot be
    used, also when two have one id; ``OSError`` when a file cannot be read.
    """
    agents = FolderAgents(clock)
    for file in sorted(folder.glob("*.toml")) if folder is not None else ():
        agents.add(_read(file), file=str(file))
    demo = load_agent(_demo_text(), file=DEMO)
    if demo.id not in agents.ids():
        agents.add(_demo_text(), file=DEMO)
    return agents


def install_demo(folder: Path) -> Path:
    """Put the demo document into ``folder`` (made if needed) for its owner to change; a file already there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / DEMO
    if not file.exists():
        file.write_text(_demo_text(), encoding="utf-8")
    return file


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(str(file), (Problem(1, "", "this is not UTF-8 text; save it as UTF-8"),)) from error


def _demo_text() -> str:
    return resources.files(__package__).joinpath(DEMO).read_text(encoding="utf-8")


class FolderAgents:
    """The ``Agents`` port over documents, one version of each."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._documents: dict[str, AgentDocument] = {}

    def add(self, text: str, *, file: str) -> AgentDocument:
        """Take a document; one without a version label gets the first 8 hex digits of its SHA-256."""
        document = load_agent(text, file=file)
        places = locate(text)
        if document.id in self._documents:
            message = f"another document has the id `{document.id}` already; give this one another id"
            raise DocumentError(file, (Problem(line_of(places, ("id",)), "id", message),))
        try:
            ZoneInfo(document.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            message = f"there is no time zone `{document.timezone}`; write one such as Europe/London"
            raise DocumentError(file, (Problem(line_of(places, ("timezone",)), "timezone", message),)) from error
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
        )

    def brain(self, agent: str, version: str, *, variables: dict[str, str], tools: Toolbox) -> Brain:  # noqa: ARG002
        """A brain for one call. Raises ``AgentNotFound``."""
        found = self.document(agent, version)
        if isinstance(found.brain, Echo):
            return EchoBrain(greeting=variants(found.greeting), language=found.languages[0])
        return FlowBrain(found, variables=variables, today=self._today(found))

    async def run_tool(self, agent: str, version: str, name: str, arguments: str, *, use: str) -> str:  # noqa: ARG002
        """Documents have no tools yet. Raises ``ToolFailed``."""
        raise ToolFailed(f"agent {agent!r} has no tool {name!r}")

    def ids(self) -> Sequence[str]:
        """All agent ids, sorted."""
        return sorted(self._documents)

    def _today(self, document: AgentDocument) -> str | None:
        """The weekday where the agent is at home."""
        if self._clock is None:
            return None
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        return DAYS[at.astimezone(ZoneInfo(document.timezone)).weekday()]
