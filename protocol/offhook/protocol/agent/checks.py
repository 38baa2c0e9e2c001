"""What is well-formed and still makes no sense: targets that are not there, questions nobody can answer, loops."""

import re
from collections.abc import Iterator

from offhook.protocol.agent import document as doc
from offhook.protocol.agent.analysis import check_analysis
from offhook.protocol.agent.document import AgentDocument, AskNode, Flow, Node
from offhook.protocol.agent.hours import HoursError, spans
from offhook.protocol.agent.phrases import PhraseError, count, expansions, parse_phrase, slots_of
from offhook.protocol.agent.problems import Path
from offhook.protocol.agent.templates import fill, placeholders
from offhook.protocol.agent.words import words

Finding = tuple[Path, str]

#: Most expansions of one phrase, and how many of each are compared with other intents.
MAX_EXPANSIONS = 100_000
COMPARED = 200

_KNOWN_PLACEHOLDERS = {"hours", "agent"}
_TOOL_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def check(document: AgentDocument) -> list[Finding]:
    """Everything wrong with the sense of ``document``."""
    return [
        *_check_opening(document),
        *_check_slots(document),
        *_check_tools(document),
        *_check_intents(document),
        *_check_texts(document),
        *check_analysis(document.analysis),
        *(_check_flow(document) if isinstance(document.brain, Flow) else ()),
    ]


def targets(node: Node) -> Iterator[tuple[Path, str]]:
    """Where a node leads: the field and the name in it."""
    match node:
        case AskNode(on=on, next=following, slot=slot, answers=answers):
            yield from ((("on", intent), target) for intent, target in on.items())
            if slot or answers or following:
                yield ("next",), following
        case doc.BranchNode(cases=cases, otherwise=otherwise):
            yield from ((("cases",), case.go) for case in cases)
            yield ("otherwise",), otherwise
        case doc.ToolNode(next=following, failed=failed):
            yield ("next",), following
            if failed:
                yield ("failed",), failed
        case doc.EndNode():
            pass
        case _:
            yield ("next",), node.next


def _check_opening(document: AgentDocument) -> Iterator[Finding]:
    for day in doc.DAYS:
        try:
            spans(getattr(document.opening, day))
        except HoursError as error:
            yield ("opening", day), str(error)


def _check_slots(document: AgentDocument) -> Iterator[Finding]:
    for name, slot in document.slots.items():
        if (slot.type == "choice") != bool(slot.values):
            yield ("slots", name), "`values` belong to slots of the type `choice`, and those need at least one"
        for value, phrases in slot.values.items():
            yield from _check_phrases(document, ("slots", name, "values"), phrases, value)
            for phrase in phrases:
                if "{" in phrase:
                    yield ("slots", name, "values"), f'"{phrase}" can not hold a slot itself; remove the {{...}}'
        if slot.day and (slot.day not in document.slots or document.slots[slot.day].type != "day"):
            yield ("slots", name, "day"), f"`{slot.day}` is no slot of the type `day`"
        if slot.open and slot.type not in {"day", "time"}:
            yield ("slots", name, "open"), "only a `day` or a `time` can lie in the opening hours; remove `open`"
        if slot.open and not any(getattr(document.opening, day) for day in doc.DAYS):
            yield ("slots", name, "open"), "there are no opening hours; add a table [opening]"


def _check_tools(document: AgentDocument) -> Iterator[Finding]:
    for name, tool in document.tools.items():
        if not _TOOL_NAME.fullmatch(name) or name in _KNOWN_PLACEHOLDERS:
            yield ("tools", name), f"`{name}` can not be the name of a tool; use other lower-case letters"
        for parameter in tool.parameters:
            if parameter not in document.slots and parameter not in document.variables:
                yield (
                    ("tools", name, "parameters"),
                    f"`{parameter}` is neither a slot nor a variable, so nothing can be given for it; "
                    f"add [slots.{parameter}], or a default under [variables]",
                )
    for name, node in document.nodes.items():
        if isinstance(node, doc.ToolNode) and node.tool not in document.tools:
            yield ("nodes", name, "tool"), f"there is no tool `{node.tool}`; add [tools.{node.tool}] or name another"


def _check_phrases(document: AgentDocument, path: Path, phrases: tuple[str, ...], of: str) -> Iterator[Finding]:
    if not phrases:
        yield path, f"`{of}` has no phrases, so nobody can say it; add some"
    for text in phrases:
        try:
            parts = parse_phrase(text)
        except PhraseError as error:
            yield path, str(error)
            continue
        if count(parts) > MAX_EXPANSIONS:
            yield path, f'"{text}" has {count(parts)} readings, at most {MAX_EXPANSIONS}; split it into several phrases'
        for slot in slots_of(parts):
            if slot not in document.slots:
                yield path, f'"{text}" names the slot `{slot}`, which is not there; add [slots.{slot}]'
            elif document.slots[slot].type == "text":
                yield path, f'"{text}" holds `{slot}`, but free text can only be asked for by a node; remove it here'


def _check_intents(document: AgentDocument) -> Iterator[Finding]:
    keys: dict[str, str] = {}
    for name, intent in document.intents.items():
        yield from _check_phrases(document, ("intents", name, "phrases"), intent.phrases, name)
        if intent.go and intent.go not in {*document.nodes, doc.BACK, doc.REPEAT}:
            yield ("intents", name, "go"), _no_node(intent.go)
        if intent.key and keys.setdefault(intent.key, name) != name:
            yield ("intents", name, "key"), f"the key {intent.key} belongs to `{keys[intent.key]}` already"


def _no_node(name: str) -> str:
    return f"there is no node `{name}`; add [nodes.{name}] or name another" if name else "name the node that follows"


def texts(document: AgentDocument) -> Iterator[tuple[Path, str]]:
    """Every text that may be spoken, with its place."""
    yield from ((("greeting",), text) for text in doc.variants(document.greeting))
    for field in ("unclear", "failed", "farewell", "silence", "silence_farewell"):
        yield from ((("repair", field), text) for text in doc.variants(getattr(document.repair, field)))
    for section, fields in (("slots", ("refuse",)), ("intents", ("say",)), ("nodes", ("say", "again", "value"))):
        for name, entry in getattr(document, section).items():
            for field in fields:
                spoken = doc.variants(getattr(entry, field, ()))
                yield from (((section, name, field), text) for text in spoken)


def _check_texts(document: AgentDocument) -> Iterator[Finding]:
    known = _KNOWN_PLACEHOLDERS | document.slots.keys() | document.variables.keys()
    days = {f"hours.{name}" for name, slot in document.slots.items() if slot.type == "day"}
    for name in document.variables.keys() & document.slots.keys():
        yield ("variables", name), f"`{name}` is a slot too; rename one of them"
    for path, text in texts(document):
        if path[-1] != "value" and not words(fill(text, lambda _name: "")):
            yield path, "this text says nothing of its own; write some words beside the placeholders, or remove it"
        for placeholder in placeholders(text):
            tool, dot, field = placeholder.partition(".")
            if placeholder not in known | days and not (dot and field and tool in document.tools):
                yield (
                    path,
                    f"`{{{placeholder}}}` is neither a slot nor a variable nor a field of a tool's result; "
                    "correct it, or give it a default under [variables]",
                )


# ── the flow ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_flow(document: AgentDocument) -> Iterator[Finding]:
    assert isinstance(document.brain, Flow)
    yield from _check_targets(document, document.brain.start)
    if not any(isinstance(node, doc.EndNode) for node in document.nodes.values()):
        yield ("nodes",), 'no node ends the call; add one with `kind = "end"`'
    for name, node in document.nodes.items():
        for slot in getattr(node, "forget", ()):
            if slot not in document.slots:
                yield ("nodes", name, "forget"), f"there is no slot `{slot}`; add [slots.{slot}] or remove it"
        if isinstance(node, AskNode):
            yield from _check_question(document, name, node)
        elif not isinstance(node, doc.EndNode) and "say" in node.__struct_fields__ and not doc.variants(node.say):  # type: ignore[union-attr]
            yield ("nodes", name, "say"), "this node has nothing to say; write a text"
    yield from _check_reached(document)
    yield from _check_loops(document)


def _check_targets(document: AgentDocument, start: str) -> Iterator[Finding]:
    if start not in document.nodes:
        yield ("brain", "start"), _no_node(start)
    offer = document.repair.offer
    if offer and not isinstance(document.nodes.get(offer), AskNode):
        yield ("repair", "offer"), f'`{offer}` must be a node with `kind = "ask"` that offers a person'
    for name, node in document.nodes.items():
        if name in {doc.BACK, doc.REPEAT}:
            yield ("nodes", name), f"`{name}` has a meaning of its own; give this node another name"
        for path, target in targets(node):
            reserved = {doc.BACK, doc.REPEAT} if path[0] == "on" else {doc.BACK}
            if target not in document.nodes and target not in reserved:
                yield ("nodes", name, *path), _no_node(target)


def _check_question(document: AgentDocument, name: str, node: AskNode) -> Iterator[Finding]:
    here = ("nodes", name)
    if not doc.variants(node.say):
        yield (*here, "say"), "this question has no words; write a text"
    if not node.slot and not node.answers and not node.on:
        yield here, "no answer leads out of this question; add `slot` and `next`, or `on = { yes = ... }`"
    if node.slot and node.slot not in document.slots:
        yield (*here, "slot"), f"there is no slot `{node.slot}`; add [slots.{node.slot}]"
        return
    for intent in node.on:
        if intent not in document.intents:
            yield (*here, "on", intent), f"there is no intent `{intent}`; add [intents.{intent}] with phrases"
    if node.slot and document.slots[node.slot].type == "text":
        if node.answers:
            yield (*here, "answers"), "free text is taken as it is said; remove `answers`"
    elif node.slot or node.answers:
        yield from _check_phrases(document, (*here, "answers"), doc.answers_of(node), name)
    yield from _check_ambiguous(document, name, node)


def _check_ambiguous(document: AgentDocument, name: str, node: AskNode) -> Iterator[Finding]:
    """No sentence may mean two things that make sense in one node."""
    owners: dict[tuple[str, ...], str] = {}
    here = [intent for intent in document.intents if intent in node.on or doc.is_global(document.intents[intent])]
    for intent in here:
        for sentence in _sentences(document.intents[intent].phrases):
            if owners.setdefault(sentence, intent) != intent:
                yield (
                    ("intents", intent, "phrases"),
                    f'"{" ".join(sentence)}" means `{owners[sentence]}` too in the node `{name}`; keep one',
                )
                break


def _sentences(phrases: tuple[str, ...]) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for phrase in phrases:
        try:
            parts = parse_phrase(phrase)
        except PhraseError:
            continue
        for flat in expansions(parts, COMPARED):
            found.add(tuple(w for part in flat for w in getattr(part, "words", None) or (f"{{{part.slot}}}",)))  # type: ignore[union-attr]
    return found


def _check_reached(document: AgentDocument) -> Iterator[Finding]:
    assert isinstance(document.brain, Flow)
    todo = [document.brain.start, document.repair.offer, *(intent.go for intent in document.intents.values())]
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name in document.nodes and name not in reached:
            reached.add(name)
            todo += [target for _path, target in targets(document.nodes[name])]
    for name in document.nodes:
        if name not in reached:
            yield ("nodes", name), f"nothing leads to `{name}`; let a node or an intent go to it, or remove it"


def _check_loops(document: AgentDocument) -> Iterator[Finding]:
    """A circle of nodes that never waits for the caller would talk forever."""
    assert isinstance(document.brain, Flow)
    passed: dict[str, list[str]] = {}
    for name, node in document.nodes.items():
        if isinstance(node, AskNode):
            # A question whose slot is filled is passed without waiting.
            passed[name] = [node.next] if node.slot and node.slot not in node.forget else []
        else:
            # Before anything was asked, "back" is the start.
            found = [target for _path, target in targets(node)]
            if isinstance(node, doc.ToolNode) and not node.failed and not document.repair.offer:
                found.append(document.brain.start)
            passed[name] = [document.brain.start if target == doc.BACK else target for target in found]
    for name in passed:
        todo, seen = list(passed[name]), set[str]()
        while todo:
            following = todo.pop()
            if following == name:
                yield ("nodes", name), f"`{name}` leads to itself without a question that waits for the caller"
                break
            if following in passed and following not in seen:
                seen.add(following)
                todo += passed[following]
