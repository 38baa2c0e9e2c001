"""Walking a document: from node to node until a question waits for the caller, collecting what is said on the way."""

import json
from collections.abc import Collection
from typing import Any

from offhook.protocol.agent import document as doc
from offhook.protocol.agent.document import AgentDocument, AskNode, Flow, Texts
from offhook.protocol.call.states import EndReason
from offhook.protocol.flow.filling import forget
from offhook.protocol.flow.speaking import choose, filled
from offhook.protocol.flow.state import PATH_LENGTH, FlowState, Outcome, Step, UseTool
from offhook.protocol.speech import BrainAction, Finish, Say, Tell


class Walk:
    """One move in the making: the state so far and the steps that led to it."""

    def __init__(self, document: AgentDocument, state: FlowState) -> None:
        self.document = document
        self.state = state.but(last=())
        #: What was said in the turn before this one.
        self.before = state.last
        self._steps: list[Step] = []

    @property
    def node(self) -> doc.Node:
        """The present node."""
        return self.document.nodes[self.state.node]

    def done(self) -> tuple[Step, ...]:
        """The steps; the last one carries the final state."""
        if not self._steps:
            return ()
        *first, last = self._steps
        return (*first, Step(last.action, self.state))

    def set(self, **changes: Any) -> None:
        """Change fields of the state."""
        self.state = self.state.but(**changes)

    def do(self, action: BrainAction | UseTool) -> None:
        """Take an action."""
        self._steps.append(Step(action, self.state))

    def say(self, pool: str, texts: Texts) -> None:
        """Say the next variant of ``texts``."""
        self.state, text = choose(self.document, self.state, pool, texts)
        if text:
            self.do(Say(text))

    def finish(self, reason: EndReason) -> None:
        """End the call."""
        self.set(finished=True)
        self.do(Finish(reason))

    def enter(self, name: str, *, ask: bool = False, quiet: bool = False) -> None:
        """Walk from ``name`` until a question or a tool waits or the call ends.

        With ``ask`` a question whose answer is known is asked too. With ``quiet`` the walk ends before the words of a
        question or of the goodbye.
        """
        while name:
            node = self.document.nodes[name]
            self.arrive(name, getattr(node, "forget", ()))
            if isinstance(node, doc.ToolNode):
                self.use_tool()
                return
            if quiet and isinstance(node, doc.EndNode):
                return
            if not isinstance(node, AskNode):
                self._do_node(name, node)
                name = self.following(node)
            elif ask or not node.slot or node.slot not in self.state.slots:
                if not quiet:
                    self.say(f"nodes.{name}.say", node.say)
                return
            else:
                name = self.target(node.next)
            ask = False

    def arrive(self, name: str, forgotten: Collection[str] = ()) -> None:
        """Be at node ``name`` without doing what it says."""
        path = (*self.state.path, name)[-PATH_LENGTH:]
        self.state = forget(self.state, forgotten).but(node=name, path=path, dialed="", outcome=Outcome.NONE)

    def use_tool(self) -> None:
        """Ask for the tool of the present node."""
        node = self.node
        assert isinstance(node, doc.ToolNode)
        known = {**self.state.variables, **self.state.slots}
        given = {name: known[name] for name in self.document.tools[node.tool].parameters if known.get(name)}
        self.do(UseTool(node.tool, given))

    def target(self, name: str) -> str:
        """The node that ``name`` means: itself, or what "back" leads to."""
        if name != doc.BACK:
            return name
        assert isinstance(self.document.brain, Flow)
        back = self.state.back or self.document.brain.start
        node = self.document.nodes[back]
        if isinstance(node, AskNode) and node.slot:
            # It is asked anew, whatever was learnt meanwhile; a question that passes by could lead here again.
            self.state = forget(self.state, (node.slot,))
        return back

    def settle(self) -> None:
        """Walk on in silence from where an interruption left the flow, up to a question, a tool or the last words.

        The caller did not want the words, but what they led to still holds; so the page is told what it has to know,
        and a tool that was not used yet stops the walk.
        """
        while not (isinstance(self.node, AskNode | doc.EndNode) or self.waits_for_tool):
            self.move_on()
            if isinstance(self.node, doc.TellNode):
                self._do_node(self.state.node, self.node)

    @property
    def waits_for_tool(self) -> bool:
        """Whether the tool of the present node has not run yet."""
        return isinstance(self.node, doc.ToolNode) and self.state.outcome is Outcome.NONE

    def move_on(self) -> None:
        """Be at the node that follows, without doing what it says."""
        following = self.following(self.node)
        self.arrive(following, getattr(self.document.nodes[following], "forget", ()))

    def _do_node(self, name: str, node: doc.Node) -> None:
        """Do what a node that does not wait does."""
        match node:
            case doc.SayNode() | doc.TransferNode():
                self.say(f"nodes.{name}.say", node.say)
            case doc.TellNode(name=told):
                self.do(Tell(told, json.dumps(self.state.slots)))
            case doc.EndNode():
                self.say(f"nodes.{name}.say", node.say)
                self.finish(EndReason.AGENT_COMPLETED)
            case _:
                # A branch only decides, and a text message needs a number that calls from the web do not have.
                pass

    def following(self, node: doc.Node) -> str:
        """The node that comes after ``node``; after an end, none."""
        match node:
            case doc.BranchNode(value=value, cases=cases, otherwise=otherwise):
                reads = filled(self.document, self.state, value).lower()
                return self.target(next((case.go for case in cases if case.equals.lower() == reads), otherwise))
            case doc.ToolNode(failed=failed) if self.state.outcome is Outcome.FAILED:
                assert isinstance(self.document.brain, Flow)
                return self.target(failed) if failed else self.document.repair.offer or self.document.brain.start
            case doc.EndNode():
                return ""
            case _:
                return self.target(node.next)
