"""The flow: a conversation along the nodes of an agent document, as pure functions over a state that can be stored."""

from offhook.protocol.flow.grammar import grammar, hints, sentences
from offhook.protocol.flow.moves import NoFlow, hear, open_flow, wait
from offhook.protocol.flow.state import FlowState, Step

__all__ = ["FlowState", "NoFlow", "Step", "grammar", "hear", "hints", "open_flow", "sentences", "wait"]
