"""Agent documents: the demo and the documented example load; broken ones say where and what to do (A1, A6)."""

import re
from pathlib import Path

import msgspec
import pytest

from offhook.protocol.agent import AgentDocument, DocumentError, Flow, load_agent
from offhook.protocol.agent.hours import HoursError, is_open, say_day, say_time, say_week, spans
from offhook.protocol.agent.phrases import PhraseError, count, expansions, nth, parse_phrase
from offhook.protocol.agent.words import words

ROOT = Path(__file__).parents[2]
FRONT_DESK = ROOT / "services/offhook/services/agents/front-desk.toml"

SMALL = """\
id = "shop"
name = "The Shop"
greeting = "Hello."

[brain]
kind = "flow"
start = "start"

[opening]
monday = "9:00-17:00"

[slots.day]
type = "day"
open = true

[intents.hours]
phrases = ["when do you open"]
say = "We are open {hours}."

[intents.no]
phrases = ["no"]

[nodes.start]
kind = "ask"
say = "How can I help?"
slot = "day"
next = "done"
on = { no = "done" }

[nodes.done]
kind = "end"
say = "Goodbye."
"""


def line(text: str, part: str) -> int:
    """The line of ``text`` where ``part`` first stands."""
    return text[: text.index(part)].count("\n") + 1


def test_small_document() -> None:
    document = load_agent(SMALL, file="shop.toml")
    assert document.brain == Flow(start="start")
    assert document.limits.patience == 10.0
    assert document.languages == ("en-us",)


def test_front_desk_is_rich_enough() -> None:
    document = load_agent(FRONT_DESK.read_text(), file="front-desk.toml")
    assert document.id == "front-desk"
    assert len(document.nodes) >= 10
    assert len(document.intents) >= 25


def test_documented_example_loads() -> None:
    example = re.search(r"```toml\n(.*?)```", (ROOT / "docs/agents.md").read_text(), re.DOTALL)
    assert example is not None
    assert load_agent(example[1], file="docs/agents.md").id == "bakery"


def test_document_survives_encoding() -> None:
    document = load_agent(FRONT_DESK.read_text(), file="front-desk.toml")
    assert msgspec.json.decode(msgspec.json.encode(document), type=AgentDocument) == document


BROKEN: list[tuple[str, str, str, str, str, str]] = [
    # id, what is replaced, by what, the line's text, path, part of the message
    ("not toml", "[brain]", "[brain", "[brain", "", "this is not TOML"),
    ("unknown field", 'next = "done"', 'nxt = "done"', "nxt", "nodes.start.nxt", "did you mean `next`?"),
    ("unknown top field", "greeting =", "greting =", "greting", "greting", "did you mean `greeting`?"),
    ("wrong type", 'next = "done"', "next = 5", "next = 5", "nodes.start.next", "expected `str`, got `int`"),
    ("missing field", 'start = "start"\n', "", "[brain]", "brain", "`start` is missing"),
    ("unknown kind", 'kind = "end"', 'kind = "stop"', 'kind = "stop"', "nodes.done.kind", "write one of: say, ask"),
    ("bad id", 'id = "shop"', 'id = "The Shop"', "id =", "id", "matching regex"),
    ("unknown target", 'next = "done"', 'next = "don"', 'next = "don"', "nodes.start.next", "no node `don`"),
    ("unknown start", 'start = "start"', 'start = "begin"', "start =", "brain.start", "there is no node `begin`"),
    ("unknown intent", "{ no =", "{ nope =", "on =", "nodes.start.on.nope", "there is no intent `nope`"),
    ("unknown slot", 'slot = "day"', 'slot = "dya"', 'slot = "dya"', "nodes.start.slot", "there is no slot `dya`"),
    ("slot in a phrase", '["no"]', '["no {week}"]', "no {week}", "intents.no.phrases", "the slot `week`"),
    ("open bracket", '["no"]', '["no [thanks"]', "[thanks", "intents.no.phrases", "write `]` after it"),
    ("closing bracket", '["no"]', '["no) thanks"]', "no) thanks", "intents.no.phrases", "closes nothing"),
    ("empty phrase", '["no"]', '["[no]"]', "[no]", "intents.no.phrases", "may be empty"),
    ("no phrases", '["no"]', "[]", "phrases = []", "intents.no.phrases", "no phrases"),
    ("unreachable", '[nodes.done]', '[nodes.x]\nkind = "end"\n[nodes.done]', "[nodes.x]", "nodes.x", "leads to `x`"),
    ("no end", 'kind = "end"', 'kind = "say"\nnext = "start"', "[nodes.start]", "nodes", "no node ends the call"),
    ("placeholder", "{hours}", "{ours}", "{ours}", "intents.hours.say", "neither a slot nor a variable"),
    ("only a placeholder", '"We are open {hours}."', '"{hours}"', "say =", "intents.hours.say", "says nothing"),
    ("ambiguous", '["no"]', '["no", "when do you open"]', '["no"', "intents.no.phrases", "means `hours` too"),
    ("hours", '"9:00-17:00"', '"9-5"', '"9-5"', "opening.monday", "write them as 9:00-17:00"),
    ("duplicate key", "[nodes.done]", "[nodes.start]", "[nodes.start]\nkind = \"end\"", "", "this is not TOML"),
    ("voice field", "[opening]", "[voice]\nspeed = 3\n[opening]", "speed = 3", "voice.speed", "no field `speed`"),
    (
        "no way out",
        'slot = "day"\nnext = "done"\non = { no = "done" }',
        "",
        "[nodes.start]",
        "nodes.start",
        "no answer leads out",
    ),
    (
        "circle",
        'kind = "end"\nsay = "Goodbye."',
        'kind = "say"\nsay = "Round."\nnext = "again"\n[nodes.again]\nkind = "say"\nsay = "And"\nnext = "done"',
        "[nodes.done]",
        "nodes.done",
        "leads to itself",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "at", "path", "message"), [row[1:] for row in BROKEN], ids=[r[0] for r in BROKEN]
)
def test_broken_documents(old: str, new: str, at: str, path: str, message: str) -> None:
    text = SMALL.replace(old, new, 1)
    assert text != SMALL
    with pytest.raises(DocumentError) as caught:
        load_agent(text, file="shop.toml")
    found = next((problem for problem in caught.value.problems if problem.path == path), None)
    assert found is not None, caught.value
    assert message in found.message
    if message != "this is not TOML":
        assert found.line == line(text, at)
        assert f"shop.toml:{found.line}: {path}: " in str(caught.value)
    else:
        assert abs(found.line - line(text, at)) <= 1


def test_all_problems_at_once() -> None:
    text = SMALL.replace('next = "done"', 'nxt = "done"').replace('say = "Goodbye."', "say = 3")
    with pytest.raises(DocumentError) as caught:
        load_agent(text, file="shop.toml")
    assert [problem.path for problem in caught.value.problems] == ["nodes.start.nxt", "nodes.done.say"]
    assert caught.value.line == line(text, "nxt")


# ── phrases, words, hours ──────────────────────────────────────────────────────────────────────────────────────────


def test_expansions() -> None:
    parts = parse_phrase("[please] (open | close the) door")
    texts = {" ".join(part.written for part in nth(parts, index)) for index in range(count(parts))}  # type: ignore[union-attr]
    assert texts == {"please open door", "please close the door", "open door", "close the door"}
    assert len(list(expansions(parse_phrase(" ".join(["[a | b]"] * 30) + " c"), 10))) == 10


@pytest.mark.parametrize("text", ["", "[a]", "(a", "a)", "{A}", "{a", "a}", "[(a | b]", "()", "..."])
def test_bad_phrases(text: str) -> None:
    with pytest.raises(PhraseError):
        parse_phrase(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's up?", "what is up"),
        ("3 pm", "three pm"),
        ("at 3 P.M., please!", "at three pm please"),
        ("3pm", "three pm"),
        ("3:30", "3:30"),
        ("I\N{RIGHT SINGLE QUOTATION MARK}d like 42", "i would like forty two"),
        ("555-1234", "five five five one two three four"),
        ("the owner's dog", "the owner's dog"),
        ("don't", "do not"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("\0\ufffd ... ", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert " ".join(words(text)) == expected


def test_hours() -> None:
    document = load_agent(FRONT_DESK.read_text(), file="front-desk.toml")
    assert say_week(document.opening) == "Monday to Friday from nine to five, and Saturday from ten to two"
    assert say_day(document.opening, "sunday") == "closed"
    assert is_open(document.opening, "monday", "16:59")
    assert not is_open(document.opening, "monday", "17:00")
    assert not is_open(document.opening, "sunday")
    assert spans("9:00-12:00, 14:30-18:00") == ((540, 720), (870, 1080))
    for wrong in ("9-5", "17:00-9:00", "9:00-25:00"):
        with pytest.raises(HoursError):
            spans(wrong)


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("15:00", "three in the afternoon"),
        ("09:05", "nine oh five in the morning"),
        ("12:00", "noon"),
        ("00:00", "midnight"),
        ("12:30", "twelve thirty in the afternoon"),
        ("20:45", "eight forty five in the evening"),
    ],
)
def test_say_time(time: str, said: str) -> None:
    assert say_time(time) == said
