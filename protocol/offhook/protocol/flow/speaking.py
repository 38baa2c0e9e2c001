"""Choosing and filling the texts of a document."""

from offhook.protocol.agent.document import AgentDocument, Texts, variants
from offhook.protocol.agent.hours import say_day, say_week
from offhook.protocol.agent.templates import fill, placeholders
from offhook.protocol.flow.state import FlowState
from offhook.protocol.flow.values import spoken


def choose(document: AgentDocument, state: FlowState, pool: str, texts: Texts) -> tuple[FlowState, str]:
    """The next variant of ``texts`` in words, and the state that remembers it.

    Variants take turns; those with a placeholder that nothing is known for are passed over while there are others.
    """
    known = [text for text in variants(texts) if all(value_of(document, state, name) for name in placeholders(text))]
    usable = known or variants(texts)
    if not usable:
        return state, ""
    used = state.used.get(pool, 0)
    text = filled(document, state, usable[used % len(usable)])
    return state.but(used={**state.used, pool: used + 1}, last=(*state.last, text)), text


def filled(document: AgentDocument, state: FlowState, text: str) -> str:
    """``text`` with its placeholders filled; what is not known reads as nothing."""
    return fill(text, lambda name: value_of(document, state, name))


def value_of(document: AgentDocument, state: FlowState, placeholder: str) -> str:
    """What stands for a placeholder; ``""`` when nothing is known."""
    slots, declared = state.slots, document.slots
    match placeholder.partition("."):
        case ("agent", _, ""):
            return document.name
        case ("hours", _, ""):
            return say_week(document.opening)
        case ("hours", _, slot):
            return say_day(document.opening, slots[slot]) if slot in slots else ""
        case (tool, ".", field) if tool in document.tools:
            return state.results.get(tool, {}).get(field, "")
        case (name, _, _) if name in declared:
            return spoken(declared[name], slots[name]) if name in slots else ""
        case (name, _, _):
            return " ".join(state.variables.get(name, "").split())
