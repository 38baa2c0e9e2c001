"""A folder of agent documents as the agents of a node."""

import contextlib
import logging
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from offhook.actors.document_agents import DocumentAgents, Tool
from offhook.actors.ports import Clock, ToolFailed
from offhook.protocol.agent import AgentDocument, DocumentError, Problem

log = logging.getLogger("offhook.agents")

#: File name of the demo agent, ``front-desk``.
DEMO = "front-desk.toml"


def open_agents(
    folder: Path | None, *, clock: Clock | None = None, tools: Mapping[str, Tool] | None = None
) -> DocumentAgents:
    """The agents of ``*.toml`` in ``folder`` and, unless the folder has an agent of this id, the demo.

    Without a ``clock`` no agent knows which day it is. ``tools`` is the code of the tools that the documents declare:
    async functions that take the parameters by name, return what JSON can hold, and fail by raising anything. Raises
    ``DocumentError`` for the first document that cannot be used, also when two have one id; ``OSError`` when a file
    cannot be read.
    """
    agents = DocumentAgents(clock, tools={name: _guarded(name, tool) for name, tool in (tools or {}).items()})
    for document in read_folder(folder) if folder is not None else ():
        agents.serve(document)
    demo = read_demo()
    if demo.id not in agents.ids():
        agents.serve(demo)
    return agents


def read_folder(folder: Path) -> list[AgentDocument]:
    """The documents of a folder, with their labels. Raises as ``open_agents``."""
    agents = DocumentAgents()
    return [agents.add(_read(file), file=str(file)) for file in sorted(folder.glob("*.toml"))]


def read_demo() -> AgentDocument:
    """The document in the box."""
    return DocumentAgents().add(_demo_text(), file=DEMO)


def folder_state(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a document of the folder is saved, added or taken away. Raises ``OSError``."""
    state = {}
    for file in folder.glob("*.toml"):
        with contextlib.suppress(FileNotFoundError):
            found = file.stat()
            state[file.name] = (found.st_mtime_ns, found.st_size)
    return state


def install_demo(folder: Path) -> Path:
    """Put the demo document into ``folder`` (made if needed) for its owner to change; a file already there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / DEMO
    if not file.exists():
        file.write_text(_demo_text(), encoding="utf-8")
    return file


def _guarded(name: str, tool: Tool) -> Tool:
    async def use(**arguments: Any) -> Any:
        try:
            return await tool(**arguments)
        except ToolFailed:
            raise
        # The code of a tool is its author's: its bug costs the caller one answer, not the call.
        except Exception as error:
            log.exception("tool broke", extra={"tool": name})
            raise ToolFailed(f"the tool {name!r} broke: {error!r}") from error

    return use


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(str(file), (Problem(1, "", "this is not UTF-8 text; save it as UTF-8"),)) from error


def _demo_text() -> str:
    return resources.files(__package__).joinpath(DEMO).read_text(encoding="utf-8")
