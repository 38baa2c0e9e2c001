"""Agents from a folder of documents, with a demo agent in the box."""

from offhook.services.agents.folder import DEMO, FolderAgents, install_demo, open_agents

__all__ = ["DEMO", "FolderAgents", "install_demo", "open_agents"]
