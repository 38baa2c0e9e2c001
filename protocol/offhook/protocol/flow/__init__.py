"""The flow: a conversation along the nodes of an agent document, as pure functions over a state that can be stored."""

from offhook.protocol.flow.grammar import grammar, hints, sentences
from offhook.protocol.flow.moves import NoFlow, ToolWaits, hear, open_flow, take_up, wait
from offhook.protocol.flow.state import FlowState, Outcome, Step, UseTool
from offhook.protocol.flow.tools import failed, go_on, returned, unfinished

__all__ = [
    "FlowState",
    "NoFlow",
    "Outcome",
    "Step",
    "ToolWaits",
    "UseTool",
    "failed",
    "go_on",
    "grammar",
    "hear",
    "hints",
    "open_flow",
    "returned",
    "sentences",
    "take_up",
    "unfinished",
    "wait",
]
