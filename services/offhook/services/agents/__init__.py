"""Agents from a folder of documents and from the store, with a demo agent in the box."""

from offhook.services.agents.folder import DEMO, install_demo, open_agents
from offhook.services.agents.serving import DRAFT, SANDBOX, ServedAgents

__all__ = ["DEMO", "DRAFT", "SANDBOX", "ServedAgents", "install_demo", "open_agents"]
