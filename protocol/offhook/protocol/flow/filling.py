"""Filling slots and emptying them."""

from collections.abc import Collection

from offhook.protocol.agent.document import AgentDocument
from offhook.protocol.agent.hours import is_open
from offhook.protocol.flow.state import FlowState


def learn(document: AgentDocument, state: FlowState, slots: dict[str, str]) -> tuple[FlowState, list[str]]:
    """Fill slots; the names are those outside the opening hours, whose values stay until they were refused aloud."""
    state = state.but(slots={**state.slots, **slots})
    refused: list[str] = []
    # Days before times: a time is not blamed for its day.
    for name, slot in sorted(document.slots.items(), key=lambda each: each[1].type):
        if not slot.open or name not in state.slots or slot.day in refused:
            continue
        value = state.slots[name]
        day, time = (state.slots.get(slot.day), value) if slot.type == "time" else (value, None)
        if not is_open(document.opening, day, time):
            refused.append(name)
    return state, refused


def forget(state: FlowState, names: Collection[str]) -> FlowState:
    """Empty slots."""
    return state.but(slots={name: value for name, value in state.slots.items() if name not in names})
