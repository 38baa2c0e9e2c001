"""The moves of a flow: the call opens, the caller is heard, the caller is silent.

A move is a tuple of steps, never empty; each step is an action and the state once that action was taken, so that a
caller who interrupts leaves the flow exactly where its words were. The last state is where the flow rests: at a
question, at a tool that has to be used, or at its end.
"""

from offhook.protocol.agent import document as doc
from offhook.protocol.agent.checks import targets
from offhook.protocol.agent.document import AgentDocument, AskNode, Flow
from offhook.protocol.agent.words import ONES
from offhook.protocol.call.states import EndReason
from offhook.protocol.errors import OffhookError
from offhook.protocol.flow.filling import forget, learn
from offhook.protocol.flow.state import FlowState, Step
from offhook.protocol.flow.understanding import Understood, understand
from offhook.protocol.flow.values import PHONE
from offhook.protocol.flow.walk import Walk
from offhook.protocol.speech import Heard, Say


class NoFlow(OffhookError):
    """The document's brain is not a flow."""


class ToolWaits(OffhookError):
    """The flow stands before a tool that was not used: see ``unfinished``."""


def open_flow(document: AgentDocument, variables: dict[str, str], *, today: str | None = None) -> tuple[Step, ...]:
    """The first words of a call: the greeting, then the start node.

    ``today`` is the weekday of the call (``monday``), or None when it is not known. Raises ``NoFlow``.
    """
    if not isinstance(document.brain, Flow):
        raise NoFlow(f"the agent {document.id} has no flow")
    start = document.brain.start
    walk = Walk(document, FlowState(node=start, variables={**document.variables, **variables}, today=today))
    walk.say("greeting", document.greeting)
    walk.enter(start)
    return walk.done()


def hear(document: AgentDocument, state: FlowState, heard: Heard) -> tuple[Step, ...]:
    """The caller said (typed, dialed) something; also into the goodbye, and then the conversation goes on.

    What is ``unfinished`` comes first. Raises ``ToolWaits``.
    """
    walk = Walk(document, state.but(finished=False, silences=0))
    _settle(walk)
    if _dial(walk, heard.text.strip()):
        return walk.done()
    found = understand(document, walk.state, heard)
    if found is None:
        _repair(walk)
    else:
        walk.set(repairs=0)
        _follow(walk, found)
    return walk.done()


def wait(document: AgentDocument, state: FlowState) -> tuple[Step, ...]:
    """The caller has been silent: asked once, then the call ends. What is ``unfinished`` comes first.

    Raises ``ToolWaits``.
    """
    walk = Walk(document, state)
    _settle(walk)
    walk.set(silences=state.silences + 1)
    if _dial(walk, "#"):
        return walk.done()
    if state.silences == 0 and not state.finished:
        walk.say("repair.silence", document.repair.silence)
        _ask(walk, again=True)
    else:
        walk.say("repair.silence_farewell", document.repair.silence_farewell)
        walk.finish(EndReason.SILENCE)
    return walk.done()


def take_up(document: AgentDocument, state: FlowState, *, again: bool) -> tuple[Step, ...]:
    """Somebody else had the conversation so far: what was said last once more (``again``), or the present question.

    What is ``unfinished`` comes first. Raises ``ToolWaits``.
    """
    walk = Walk(document, state)
    _settle(walk)
    if state.dialed or not (again and walk.before):
        # A number that was dialed in part is asked for anew.
        walk.set(dialed="")
        if not state.finished:
            _ask(walk, again=False)
    else:
        _repeat(walk)
    if state.finished:
        walk.finish(EndReason.SILENCE if state.silences > 1 else EndReason.AGENT_COMPLETED)
    return walk.done()


def _settle(walk: Walk) -> None:
    walk.settle()
    if walk.waits_for_tool:
        raise ToolWaits(f"the tool of the node {walk.state.node} was not used yet")


# ── what was understood ────────────────────────────────────────────────────────────────────────────────────────────


def _follow(walk: Walk, found: Understood) -> None:
    """Act on what was understood."""
    node = walk.node
    walk.state, refused = learn(walk.document, walk.state, found.slots)
    if found.intent is None:
        assert isinstance(node, AskNode)
        known = not node.slot or node.slot in walk.state.slots
        _go(walk, node.next if known else walk.state.node, refused)
    elif isinstance(node, AskNode) and found.intent in node.on:
        _go(walk, node.on[found.intent], refused)
    else:
        intent = walk.document.intents[found.intent]
        if intent.go and isinstance(node, AskNode) and not _leads_back(node):
            walk.set(back=walk.state.node)
        walk.say(f"intents.{found.intent}.say", intent.say)
        _go(walk, intent.go, refused)


def _go(walk: Walk, name: str, refused: list[str]) -> None:
    """Refuse what has to be refused, then go where an answer leads; to nowhere: ask the present question once more."""
    following = "" if name == doc.REPEAT else walk.target(name)
    if following and refused:
        walk.arrive(following)
    for slot in refused:
        walk.say(f"slots.{slot}.refuse", walk.document.slots[slot].refuse)
    walk.state = forget(walk.state, refused)
    if following:
        walk.enter(following)
    elif name == doc.REPEAT and walk.before:
        _repeat(walk)
    else:
        _ask(walk, again=False)


def _repeat(walk: Walk) -> None:
    """What was said in the turn before, word for word."""
    for text in walk.before:
        walk.set(last=(*walk.state.last, text))
        walk.do(Say(text))


def _leads_back(node: doc.Node) -> bool:
    """True for a detour: from there, "back" stays what it was."""
    return any(target == doc.BACK for _path, target in targets(node))


def _ask(walk: Walk, *, again: bool) -> None:
    """The present question once more; with ``again`` in other words, where the document has them."""
    node, name = walk.node, walk.state.node
    if not isinstance(node, AskNode):
        walk.enter(name)
    elif again and node.again:
        walk.say(f"nodes.{name}.again", node.again)
    else:
        walk.say(f"nodes.{name}.say", node.say)


def _dial(walk: Walk, key: str) -> bool:
    """Take a key of the dialpad as a digit of the telephone number that is asked for; ``#`` ends the number."""
    node, dialed = walk.node, walk.state.dialed
    if not isinstance(node, AskNode) or not node.slot or walk.document.slots[node.slot].type != "phone":
        return False
    if len(key) == 1 and key in "0123456789" and len(dialed) < PHONE[1]:
        walk.set(dialed=dialed + key)
        walk.do(Say(ONES[int(key)]))
        return True
    if key != "#" or len(dialed) < PHONE[0]:
        return False
    walk.set(dialed="", repairs=0)
    _follow(walk, Understood(None, {node.slot: dialed}))
    return True


# ── what was not understood ────────────────────────────────────────────────────────────────────────────────────────


def _repair(walk: Walk) -> None:
    """First the question in other words, then a person, then goodbye: never the same circle twice."""
    repair, here = walk.document.repair, walk.state.node
    walk.set(repairs=walk.state.repairs + 1)
    can_offer = repair.offer not in {"", here}
    if isinstance(walk.node, doc.EndNode):
        # The words went into the goodbye, and it still holds.
        walk.enter(here)
    elif walk.state.repairs == 1 or (walk.state.repairs == 2 and not repair.offer):
        walk.say("repair.unclear", repair.unclear)
        _ask(walk, again=True)
    elif can_offer:
        walk.set(repairs=0, back=walk.state.back if _leads_back(walk.node) else here)
        walk.say("repair.unclear", repair.unclear)
        walk.enter(repair.offer, ask=True)
    else:
        walk.say("repair.farewell", repair.farewell)
        walk.finish(EndReason.AGENT_COMPLETED)
