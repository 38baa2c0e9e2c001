"""Walking a document: what is said next, and where the flow stands then.

``open_flow``, ``hear`` and ``wait`` are one move each. A move is a tuple of steps; each step is an action and the
state once that action was taken, so that a caller who interrupts leaves the flow exactly where its words were. The
move's last state is where it rests; a move is never empty.

A flow rests at a question. When it was interrupted elsewhere, the next ``hear`` first walks on in silence (handing
over what tools have to tell), because the caller did not want the words but what they led to still holds.
"""

import json
from collections.abc import Collection

from offhook.protocol.agent import document as doc
from offhook.protocol.agent.checks import targets
from offhook.protocol.agent.document import AgentDocument, AskNode, Flow, Texts
from offhook.protocol.agent.hours import is_open
from offhook.protocol.agent.words import ONES
from offhook.protocol.call.states import EndReason
from offhook.protocol.errors import OffhookError
from offhook.protocol.flow.speaking import choose, filled
from offhook.protocol.flow.state import PATH_LENGTH, FlowState, Step
from offhook.protocol.flow.understanding import Understood, understand
from offhook.protocol.flow.values import PHONE
from offhook.protocol.speech import BrainAction, Finish, Heard, Say, Tell

Steps = tuple[Step, ...]


class NoFlow(OffhookError):
    """The document's brain is not a flow."""


def open_flow(document: AgentDocument, variables: dict[str, str], *, today: str | None = None) -> Steps:
    """The first words of a call: the greeting, then the start node.

    ``today`` is the weekday of the call (``monday``), or None when it is not known. Raises ``NoFlow``.
    """
    if not isinstance(document.brain, Flow):
        raise NoFlow(f"the agent {document.id} has no flow")
    state = FlowState(node=document.brain.start, variables={**document.variables, **variables}, today=today)
    walk = _Walk(document, state)
    walk.say("greeting", document.greeting)
    walk.enter(document.brain.start)
    return walk.done()


def hear(document: AgentDocument, state: FlowState, heard: Heard) -> Steps:
    """The caller said (typed, dialed) something; also into the goodbye, and then the conversation goes on."""
    walk = _Walk(document, state.but(finished=False, silences=0))
    walk.settle()
    if walk.dial(heard.text.strip()):
        return walk.done()
    found = understand(document, walk.state, heard)
    if found is None:
        walk.repair()
    else:
        walk.set(repairs=0)
        walk.follow(found)
    return walk.done()


def wait(document: AgentDocument, state: FlowState) -> Steps:
    """The caller has been silent: asked once, then the call ends."""
    walk = _Walk(document, state)
    if state.finished:
        walk.do(Finish(EndReason.SILENCE))
        return walk.done()
    walk.settle()
    walk.set(silences=state.silences + 1)
    if walk.dial("#"):
        return walk.done()
    if state.silences == 0:
        walk.say("repair.silence", document.repair.silence)
        walk.ask_again()
    else:
        walk.say("repair.silence_farewell", document.repair.silence_farewell)
        walk.finish(EndReason.SILENCE)
    return walk.done()


class _Walk:
    """One move in the making."""

    def __init__(self, document: AgentDocument, state: FlowState) -> None:
        self._document = document
        self._steps: list[Step] = []
        self.state = state.but(last=())
        self._before = state.last

    def done(self) -> Steps:
        """The steps; the last one carries the final state."""
        *first, last = self._steps
        return (*first, Step(last.action, self.state))

    def set(self, **changes: object) -> None:
        self.state = self.state.but(**changes)

    def do(self, action: BrainAction) -> None:
        self._steps.append(Step(action, self.state))

    def finish(self, reason: EndReason) -> None:
        self.set(finished=True)
        self.do(Finish(reason))

    # ── speaking ───────────────────────────────────────────────────────────────────────────────────────────────

    def say(self, pool: str, texts: Texts) -> None:
        """Say the next variant of ``texts``."""
        self.state, text = choose(self._document, self.state, pool, texts)
        if text:
            self.do(Say(text))

    # ── going ──────────────────────────────────────────────────────────────────────────────────────────────────

    def enter(self, name: str, *, ask: bool = False) -> None:
        """Walk from node ``name`` until a question waits for the caller or the call ends; ``ask``: even if answered."""
        while name:
            node = self._document.nodes[name]
            self._arrive(name, getattr(node, "forget", ()))
            if isinstance(node, AskNode):
                if ask or not node.slot or node.slot not in self.state.slots:
                    self.say(f"nodes.{name}.say", node.say)
                    return
                name = self._target(node.next)
            else:
                name = self._pass(name, node)
            ask = False

    def _arrive(self, name: str, forgotten: Collection[str]) -> None:
        path = (*self.state.path, name)[-PATH_LENGTH:]
        self.state = forget(self.state, forgotten).but(node=name, path=path, dialed="")

    def _pass(self, name: str, node: doc.Node) -> str:
        """Do what a node that does not wait does; returns the node that follows."""
        match node:
            case doc.SayNode() | doc.TransferNode():
                self.say(f"nodes.{name}.say", node.say)
            case doc.ToolNode(tool=tool):
                self.do(Tell(tool, json.dumps(self.state.slots)))
            case doc.EndNode():
                self.say(f"nodes.{name}.say", node.say)
                self.finish(EndReason.AGENT_COMPLETED)
                return ""
            case _:
                pass
        return self._target(self._following(node))

    def _following(self, node: doc.Node) -> str:
        match node:
            case doc.BranchNode(value=value, cases=cases, otherwise=otherwise):
                reads = filled(self._document, self.state, value)
                return next((case.go for case in cases if case.equals.lower() == reads.lower()), otherwise)
            case AskNode() | doc.EndNode():
                return ""
            case _:
                return node.next

    def _target(self, name: str) -> str:
        if name != doc.BACK:
            return name
        assert isinstance(self._document.brain, Flow)
        back = self.state.back or self._document.brain.start
        node = self._document.nodes[back]
        if isinstance(node, AskNode) and node.slot:
            # It is asked anew, whatever was learnt meanwhile; a question that passes by could lead here again.
            self._arrive(back, (node.slot,))
        return back

    def settle(self) -> None:
        """Walk on in silence from where an interruption left the flow, up to a question or the last words."""
        while not isinstance(node := self._document.nodes[self.state.node], AskNode | doc.EndNode):
            following = self._target(self._following(node))
            reached = self._document.nodes[following]
            self._arrive(following, getattr(reached, "forget", ()))
            if isinstance(reached, doc.ToolNode):
                self.do(Tell(reached.tool, json.dumps(self.state.slots)))
            elif isinstance(reached, AskNode) and reached.slot in self.state.slots and reached.slot:
                self._arrive(following, (reached.slot,))

    def dial(self, key: str) -> bool:
        """Take a key of the dialpad as a digit of the telephone number that is asked for; ``#`` ends the number."""
        node = self._document.nodes[self.state.node]
        if not isinstance(node, AskNode) or not node.slot or self._document.slots[node.slot].type != "phone":
            return False
        dialed = self.state.dialed
        if len(key) == 1 and key in "0123456789" and len(dialed) < PHONE[1]:
            self.set(dialed=dialed + key)
            self.do(Say(ONES[int(key)]))
            return True
        if key != "#" or len(dialed) < PHONE[0]:
            return False
        self.set(dialed="", repairs=0)
        self.follow(Understood(None, {node.slot: dialed}))
        return True

    # ── answering ──────────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, found: Understood) -> None:
        """Act on what was understood."""
        node = self._document.nodes[self.state.node]
        self.state, refused = learn(self._document, self.state, found.slots)
        if found.intent is None:
            assert isinstance(node, AskNode)
            following = self.state.node if node.slot and node.slot not in self.state.slots else self._target(node.next)
            self._refuse_and_enter(refused, following)
        elif isinstance(node, AskNode) and found.intent in node.on:
            self._go(node.on[found.intent], refused)
        else:
            intent = self._document.intents[found.intent]
            if intent.go and isinstance(node, AskNode) and not leads_back(node):
                self.set(back=self.state.node)
            self.say(f"intents.{found.intent}.say", intent.say)
            if intent.go:
                self._go(intent.go, refused)
            else:
                self._refuse_and_enter(refused, "")
                self.ask_anew()

    def _go(self, target: str, refused: list[str]) -> None:
        if target == doc.REPEAT:
            self._repeat()
        else:
            self._refuse_and_enter(refused, self._target(target))

    def _refuse_and_enter(self, refused: list[str], following: str) -> None:
        if following and refused:
            self._arrive(following, ())
        for name in refused:
            self.say(f"slots.{name}.refuse", self._document.slots[name].refuse)
        self.state = forget(self.state, refused)
        self.enter(following)

    def _repeat(self) -> None:
        for text in self._before:
            self.set(last=(*self.state.last, text))
            self.do(Say(text))
        if not self._before:
            self.ask_anew()

    # ── not understanding ──────────────────────────────────────────────────────────────────────────────────────

    def repair(self) -> None:
        """First other words, then a person, then goodbye: never the same circle twice."""
        repair, here = self._document.repair, self.state.node
        self.set(repairs=self.state.repairs + 1)
        offered = here == repair.offer or not repair.offer
        if isinstance(self._document.nodes[here], doc.EndNode):
            # The words went into the goodbye, and it still holds.
            self.enter(here)
        elif self.state.repairs == 1 or (self.state.repairs == 2 and not repair.offer):
            self.say("repair.unclear", repair.unclear)
            self.ask_again()
        elif not offered:
            self.set(back=self.state.back if leads_back(self._document.nodes[here]) else here, repairs=0)
            self.say("repair.unclear", repair.unclear)
            self.enter(repair.offer, ask=True)
        else:
            self.say("repair.farewell", repair.farewell)
            self.finish(EndReason.AGENT_COMPLETED)

    def ask_anew(self) -> None:
        """The present question once more, after something else was answered."""
        node = self._document.nodes[self.state.node]
        if isinstance(node, AskNode):
            self.say(f"nodes.{self.state.node}.say", node.say)
        else:
            self.enter(self.state.node)

    def ask_again(self) -> None:
        """The present question, in other words where the document has them."""
        name = self.state.node
        node = self._document.nodes[name]
        if isinstance(node, AskNode):
            field, texts = ("again", node.again) if node.again else ("say", node.say)
            self.say(f"nodes.{name}.{field}", texts)
        else:
            self.enter(name)


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


def leads_back(node: doc.Node) -> bool:
    """True for a node that is a detour itself: from there, "back" stays what it was."""
    return any(target == doc.BACK for _path, target in targets(node))
