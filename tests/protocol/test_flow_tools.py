"""Tools in a flow: what they are given, what becomes of them, and callers who speak meanwhile (A4)."""

import pytest

from offhook.protocol import flow
from offhook.protocol.agent import AgentDocument, DocumentError, load_agent
from offhook.protocol.flow import FlowState, Step, UseTool
from offhook.protocol.speech import Finish, Heard, Say

TEXT = """
id = "shop"
name = "Shop"
greeting = "Hello."

[brain]
kind = "flow"
start = "start"

[variables]
visitor = "somebody"

[tools.order]
description = "Order flowers."
parameters = { day = "when", visitor = "for whom", colour = "which ones" }

[slots.day]
type = "day"

[slots.colour]
type = "choice"
[slots.colour.values]
red = ["red"]

[intents.order]
phrases = ["flowers [for {day}]"]
go = "ask"

[intents.hours]
phrases = ["when are you open"]
say = "Always."

[intents.bye]
phrases = ["bye"]
go = "bye"

[nodes.start]
kind = "ask"
say = "What would you like?"
on = { bye = "bye" }

[nodes.ask]
kind = "ask"
say = "For which day?"
slot = "day"
next = "moment"

[nodes.moment]
kind = "say"
say = "One moment."
next = "order"

[nodes.order]
kind = "tool"
tool = "order"
next = "kind"

[nodes.kind]
kind = "branch"
value = "{order.gift}"
cases = [{ equals = "yes", go = "gift" }]
otherwise = "ordered"

[nodes.gift]
kind = "say"
say = "It is a gift."
next = "ordered"

[nodes.ordered]
kind = "say"
say = ["Number {order.number} costs {order.price} dollars.", "It is ordered."]
forget = ["day"]
next = "start"

[nodes.bye]
kind = "end"
say = "Goodbye."
"""
SHOP = load_agent(TEXT, file="shop.toml")


def said(steps: tuple[Step, ...]) -> list[str]:
    return [step.action.text for step in steps if isinstance(step.action, Say)]


def opened(document: AgentDocument = SHOP) -> FlowState:
    return flow.open_flow(document, {})[-1].state


def ordering(document: AgentDocument = SHOP) -> tuple[Step, ...]:
    return flow.hear(document, opened(document), Heard(text="flowers for monday"))


def test_a_tool_is_given_what_is_known() -> None:
    steps = ordering()
    assert said(steps) == ["One moment."]
    assert steps[-1].action == UseTool("order", {"day": "monday", "visitor": "somebody"})
    assert steps[-1].state.node == "order"


def test_what_it_returns_can_be_said_and_branched_on() -> None:
    result = {"number": 7.0, "price": 12.5, "gift": True, "details": ["x"], "note": None}
    state = flow.returned(SHOP, ordering()[-1].state, result)
    assert state.results == {"order": {"number": "7", "price": "12.5", "gift": "yes"}}
    steps = flow.go_on(SHOP, state)
    assert said(steps) == ["It is a gift.", "Number 7 costs 12.5 dollars.", "What would you like?"]


@pytest.mark.parametrize("result", [None, "done", ["a"], {}, {"number": 7}])
def test_what_it_does_not_return_is_not_said(result: object) -> None:
    state = flow.returned(SHOP, ordering()[-1].state, result)
    assert said(flow.go_on(SHOP, state)) == ["It is ordered.", "What would you like?"]


def test_a_failure_is_said_and_the_conversation_begins_anew() -> None:
    state = flow.failed(ordering()[-1].state)
    steps = flow.go_on(SHOP, state)
    assert said(steps) == ["I am sorry, that did not work just now.", "What would you like?"]
    assert steps[-1].state.node == "start"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ('next = "kind"', 'next = "kind"\nfailed = "gift"'),
            ["It is a gift.", "It is ordered.", "What would you like?"],
        ),
        (("[intents.order]", '[repair]\noffer = "ask"\nfailed = "No."\n[intents.order]'), ["No.", "For which day?"]),
    ],
)
def test_where_a_failure_leads(change: tuple[str, str], words: list[str]) -> None:
    document = load_agent(TEXT.replace(*change), file="shop.toml")
    assert said(flow.go_on(document, flow.failed(ordering(document)[-1].state))) == words


def test_words_before_a_tool_are_said_again_with_what_followed() -> None:
    steps = flow.go_on(SHOP, flow.returned(SHOP, ordering()[-1].state, None))
    assert steps[-1].state.last == ("One moment.", "It is ordered.", "What would you like?")


# ── callers who speak meanwhile ────────────────────────────────────────────────────────────────────────────────────


def test_a_caller_who_stopped_the_words_before_a_tool_has_it_used_still() -> None:
    state = ordering()[0].state
    assert state.node == "moment"
    with pytest.raises(flow.ToolWaits):
        flow.hear(SHOP, state, Heard(text="when are you open"))
    with pytest.raises(flow.ToolWaits):
        flow.wait(SHOP, state)
    steps = flow.unfinished(SHOP, state)
    assert [step.action for step in steps] == [UseTool("order", {"day": "monday", "visitor": "somebody"})]


def test_a_caller_who_spoke_while_a_tool_ran_is_told_its_outcome_and_answered() -> None:
    state = flow.returned(SHOP, ordering()[-1].state, {})
    steps = flow.unfinished(SHOP, state)
    assert said(steps) == ["It is ordered."]
    assert said(flow.hear(SHOP, steps[-1].state, Heard(text="when are you open"))) == [
        "Always.",
        "What would you like?",
    ]


def test_an_outcome_without_words_leads_on_in_silence() -> None:
    document = load_agent(
        TEXT.replace('next = "kind"', 'next = "start"')
        .replace('value = "{order.gift}"', 'value = "{day}"')
        .replace("[nodes.start]", '[intents.kind]\nphrases = ["kind"]\ngo = "kind"\n[nodes.start]'),
        file="shop.toml",
    )
    state = flow.returned(document, ordering(document)[-1].state, {})
    assert flow.unfinished(document, state) == ()
    assert said(flow.hear(document, state, Heard(text="bye"))) == ["Goodbye."]


def test_a_goodbye_behind_a_tool_waits_for_the_answer() -> None:
    document = load_agent(TEXT.replace('next = "start"', 'next = "bye"'), file="shop.toml")
    state = flow.returned(document, ordering(document)[-1].state, {})
    steps = flow.unfinished(document, state)
    assert said(steps) == ["It is ordered."]
    after = flow.hear(document, steps[-1].state, Heard(text="when are you open"))
    assert said(after) == ["Always.", "Goodbye."]
    assert isinstance(after[-1].action, Finish)


# ── documents that are wrong ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (('tool = "order"', 'tool = "oder"'), 55, "there is no tool `oder`; add [tools.oder] or name another"),
        (("{order.number}", "{other.number}"), 71, "`{other.number}` is neither a slot nor a variable"),
        (("{order.number}", "{order.}"), 71, "`{order.}` is neither a slot nor a variable"),
        (("[tools.order]", "[tools.hours]"), 13, "`hours` can not be the name of a tool"),
        (("[tools.order]", "[tools.Order-it]"), 13, "`Order-it` can not be the name of a tool"),
        (('colour = "which ones"', 'size = "how many"'), 15, "`size` is neither a slot nor a variable, so nothing"),
        (('next = "kind"', 'next = "kind"\nfailed = "nowhere"'), 57, "there is no node `nowhere`"),
        (("[tools.order]\ndescription", "[tools.order]\nkind"), 14, "there is no field `kind` here"),
        (('start = "start"', 'start = "moment"'), 48, "`moment` leads to itself without a question"),
    ],
)
def test_a_wrong_document_says_where(change: tuple[str, str], line: int, message: str) -> None:
    with pytest.raises(DocumentError) as wrong:
        load_agent(TEXT.replace(*change), file="shop.toml")
    found = [(problem.line, problem.message) for problem in wrong.value.problems]
    assert any(at == line and text.startswith(message) for at, text in found), found
