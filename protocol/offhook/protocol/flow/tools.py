"""Tools in a flow: a move that comes to one ends with ``UseTool``, and goes on when it is known what became of it.

A caller who speaks meanwhile does not undo a tool. The flow waits at its node with the outcome, and ``unfinished`` says
what has to be done and said before the caller is answered, so that no effect goes unmentioned.
"""

from collections.abc import Mapping
from typing import Any

from offhook.protocol.agent import document as doc
from offhook.protocol.agent.document import AgentDocument
from offhook.protocol.flow.state import FlowState, Outcome, Step
from offhook.protocol.flow.walk import Walk


def returned(document: AgentDocument, state: FlowState, result: Any) -> FlowState:
    """The state once the tool of the present node has returned ``result``, anything that JSON can hold.

    Of an object the fields that hold a text, a number or a boolean can be spoken; of anything else nothing can.
    """
    node = document.nodes[state.node]
    assert isinstance(node, doc.ToolNode)
    fields = result if isinstance(result, Mapping) else {}
    spoken = {name: text for name, value in fields.items() if (text := _spoken(value)) is not None}
    return state.but(outcome=Outcome.RETURNED, results={**state.results, node.tool: spoken})


def failed(state: FlowState) -> FlowState:
    """The state once the tool of the present node has failed."""
    return state.but(outcome=Outcome.FAILED)


def go_on(document: AgentDocument, state: FlowState, *, ask: bool = True) -> tuple[Step, ...]:
    """From a tool whose outcome is known to the next question, or to the end.

    Without ``ask`` neither the question nor the goodbye is said, because something else is answered first; then there
    may be no step at all.
    """
    walk = Walk(document, state)
    walk.set(last=state.last)
    node = walk.node
    assert isinstance(node, doc.ToolNode)
    unexpected = state.outcome is Outcome.FAILED and not node.failed
    if unexpected:
        walk.say("repair.failed", document.repair.failed)
    walk.enter(walk.following(node), ask=unexpected, quiet=not ask)
    return walk.done()


def unfinished(document: AgentDocument, state: FlowState) -> tuple[Step, ...]:
    """What comes before the answer to a caller who interrupted: a tool not used yet, or the words about its outcome."""
    if isinstance(document.nodes[state.node], doc.ToolNode) and state.outcome is not Outcome.NONE:
        return go_on(document, state, ask=False)
    walk = Walk(document, state)
    walk.settle()
    if not walk.waits_for_tool:
        return ()
    walk.use_tool()
    return walk.done()


def _spoken(value: object) -> str | None:
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case _:
            return None
