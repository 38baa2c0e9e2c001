"""Agents from a folder of documents, with a demo agent in the box."""

from offhook.services.agents.folder import DEMO, install_demo, open_agents

__all__ = ["DEMO", "install_demo", "open_agents"]
