"""Whether an agent can be called, as the processes on a data folder see it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from offhook.actors.ports import AgentNotFound
from offhook.services.agents import ServedAgents

if TYPE_CHECKING:
    from offhook.services.store import StoredAgents


async def check_agent(
    agent: str, version: str | None, folder: Path, data: Path, place: str | None, workspace: str
) -> None:
    """Raises a usage error where no agent, or no version of it, is called so in the folder or the database."""
    served = _served(folder, None, workspace)
    if version is None and agent in served.ids():
        # Most are, and the database's library takes long to import.
        return
    from offhook.services.store import open_stored_agents, store_file

    if place is not None or store_file(data).exists():
        stored = open_stored_agents(place or store_file(data))
        try:
            await _reach(_served(folder, stored, workspace), agent, version)
        finally:
            stored.close()
    else:
        await _reach(served, agent, version)


class _Clock:
    def now(self) -> float:
        return time.time()


def _served(folder: Path, stored: "StoredAgents | None", workspace: str) -> ServedAgents:
    store = None if stored is None else lambda: stored
    return ServedAgents(folder, store, lambda: workspace, clock=_Clock(), for_new_calls=True)


async def _reach(served: ServedAgents, agent: str, version: str | None) -> None:
    await served.reach(agent, version)
    try:
        served.document(agent, version)
    except AgentNotFound as missing:
        sentence = str(missing)
        if sentence == f"there is no agent {agent!r}":
            sentence += f". Agents here: {', '.join(served.ids())}"
        elif version is None:
            sentence += "; publish it, or name a version: --version draft"
        else:
            sentence += "; see offhook agents list"
        raise click.UsageError(f"{sentence[0].upper()}{sentence[1:]}.") from None
