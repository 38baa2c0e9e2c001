"""The agent document: what a site owner writes, how it is read, and what is said when it is wrong."""

from offhook.protocol.agent.document import AgentDocument, Echo, Flow
from offhook.protocol.agent.loading import load_agent
from offhook.protocol.agent.problems import DocumentError, Problem

__all__ = ["AgentDocument", "DocumentError", "Echo", "Flow", "Problem", "load_agent"]
