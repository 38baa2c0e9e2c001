"""Conversations along the front desk: as tables, and as properties of any conversation (A2, A5, A6)."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pocketsphinx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offhook.protocol import flow
from offhook.protocol.agent import AgentDocument, load_agent
from offhook.protocol.agent.document import AskNode, is_global
from offhook.protocol.agent.phrases import Literal, expansions, parse_phrase
from offhook.protocol.agent.words import words
from offhook.protocol.call import EndReason
from offhook.protocol.flow import FlowState
from offhook.protocol.flow.understanding import candidates, understand
from offhook.protocol.flow.values import readings
from offhook.protocol.speech import Finish, Heard, Say, Tell

FRONT_DESK = Path(__file__).parents[2] / "services/offhook/services/agents/front-desk.toml"
DESK = load_agent(FRONT_DESK.read_text(), file="front-desk.toml")
DICTIONARY = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
SILENCE = None


def show(steps: tuple[flow.Step, ...]) -> str:
    shown: list[str] = []
    for step in steps:
        match step.action:
            case Say(text=text):
                shown.append(text)
            case Finish(reason=reason):
                shown.append(f"<{reason.value}>")
            case Tell(name=name, data=data):
                shown.append(f"<{name} {data}>")
    return " ".join(shown)


def talk(*turns: str | None, document: AgentDocument = DESK, today: str | None = "friday") -> list[str]:
    """What the agent says to each turn; None is silence."""
    steps = flow.open_flow(document, {}, today=today)
    said: list[str] = []
    for text in turns:
        state = steps[-1].state
        steps = flow.wait(document, state) if text is None else flow.hear(document, state, Heard(text=text))
        said.append(show(steps))
    return said


DIALOGUES: dict[str, list[tuple[str | None, str]]] = {
    "book step by step": [
        ("i would like to book an appointment", "Which day would you like to come?"),
        ("on monday please", "At what time on Monday?"),
        ("half past three", "An appointment on Monday at three thirty in the afternoon. Is that right?"),
        ("yes", '<appointment {"day": "monday", "time": "15:30"}> Wonderful, you are booked for Monday'),
        ("no thank you", "Thank you for calling Riverside Studio. Goodbye! <agent_completed>"),
    ],
    "book at once": [
        ("Can I book an appointment on Tuesday at 10:30?", "An appointment on Tuesday at ten thirty in the morning."),
        ("Sure!", "<appointment"),
    ],
    "closed": [
        ("book an appointment on sunday", "I am sorry, we are closed on Sunday. Which day would you like to come?"),
        ("saturday at four pm", "I am sorry, at four in the afternoon we are closed. At what time on Saturday?"),
        ("noon", "An appointment on Saturday at noon."),
    ],
    "tomorrow": [("book tomorrow at eleven", "An appointment on Saturday at eleven in the morning.")],
    "change the mind": [
        ("book monday at ten", "An appointment on Monday at ten in the morning. Is that right?"),
        ("no tuesday at noon", "Tuesday at noon"),
        ("a different day", "All right, let us find another time."),
        ("wednesday", "on Wednesday"),
        ("on thursday", "on Thursday"),
        ("two", "Thursday at two in the afternoon"),
        ("another time", "All right, another time. "),
        ("never mind", "All right, let us start again."),
    ],
    "questions on the way": [
        ("an appointment on monday", "At what time on Monday?"),
        (
            "when do you open",
            "We are open Monday to Friday from nine to five, and Saturday from ten to two. What time on",
        ),
        ("at nine", "Monday at nine in the morning"),
        ("are you open on sunday", "On Sunday we are closed. So that is Monday at nine"),
        ("what did i book", "We talked about Monday at nine in the morning. "),
    ],
    "message": [
        (
            "can i talk to a person",
            "I am sorry, nobody of the team can take this call right now. Shall I take a message",
        ),
        ("yes please", "What is it about?"),
        ("my bill", "Which number can we call?"),
        ("five five five one two double four", "I heard five five five, one two four, four. Is that right?"),
        ("yes", '<message {"topic": "a payment", "phone": "5551244"}> Thank you. Somebody will call you back about a'),
    ],
    "dialed": [
        ("4", "What is it about?"),
        ("an appointment", "Which number"),
        *((digit, word) for digit, word in zip("55512", ["five", "five", "five", "one", "two"], strict=True)),
        ("#", "I heard five five five, one two. Is that right?"),
    ],
    "repair": [
        ("blue elephants dance", "Sorry, I did not get that. You can book"),
        ("green elephants dance", "Sorry, I am not sure I understood. Shall I take a message"),
        ("red elephants dance", "Sorry, I did not get that. Please say yes if"),
        (
            "pink elephants dance",
            "I am sorry that I could not help you. Please try again later. Goodbye. <agent_completed>",
        ),
    ],
    "declined offer": [
        ("book monday", "At what time on Monday?"),
        ("zebra", "Please say a time, for example half past ten. On Monday we are open from nine to five."),
        ("zebra", "Shall I take a message"),
        ("no", "time on Monday"),
        ("three", "Monday at three in the afternoon"),
    ],
    "silence": [
        (SILENCE, "Are you still there? You can book"),
        ("hello", "Hello! What else can I do for you?"),
        (SILENCE, "I am still here."),
        (SILENCE, "I can not hear you any more, so I will end the call. Goodbye. <silence>"),
    ],
    "repeat": [
        ("where are you", "We are at twelve River Street, next to the library. What else can I do for you?"),
        ("pardon", "We are at twelve River Street, next to the library. What else can I do for you?"),
    ],
    "into the goodbye": [
        ("goodbye", "<agent_completed>"),
        ("what are your prices", "A yoga class is fifteen dollars"),
    ],
    "roughly": [
        ("hi um could you tell me what your opening hours are", "We are open"),
        ("when do you opne", "Our hours are"),
        ("I'd like to make an apointment for Monday", "At what time on Monday?"),
        ("maybe at three pm or so", "Monday at three in the afternoon"),
        ("yes that would be great", "<appointment"),
    ],
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogues(name: str) -> None:
    rows = DIALOGUES[name]
    for (heard, expected), said in zip(rows, talk(*(row[0] for row in rows)), strict=True):
        assert expected in said, heard


def test_variables_fill_the_greeting() -> None:
    said = show(flow.open_flow(DESK, {"visitor": "Anna"}))
    assert said == "Hello Anna, this is the front desk of Riverside Studio. How can I help you?"
    assert show(flow.open_flow(DESK, {})).startswith("Hello, this is")


def test_tomorrow_needs_a_clock() -> None:
    assert "Which day" in talk("book an appointment", "tomorrow", today=None)[0]
    assert "Sorry" in talk("book an appointment", "tomorrow", today=None)[1]


def test_guesses_are_not_acted_on() -> None:
    state = flow.open_flow(DESK, {})[-1].state
    steps = flow.hear(DESK, state, Heard(text="book an appointment", trusted=False))
    assert show(steps).startswith("Sorry, I did not get that.")


def test_state_survives_storage() -> None:
    state = flow.open_flow(DESK, {}, today="friday")[-1].state
    for text in ("book monday", "at three", "when do you open"):
        state = flow.hear(DESK, state, Heard(text=text))[-1].state
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=FlowState) == state


def test_interrupted_in_the_middle() -> None:
    """Words that were not said do not count as said, and what they led to holds."""
    state = flow.open_flow(DESK, {})[-1].state
    state = flow.hear(DESK, state, Heard(text="book monday at three"))[-1].state
    steps = flow.hear(DESK, state, Heard(text="yes"))
    assert isinstance(steps[0].action, Tell)
    assert steps[0].state.node == "book"
    after = flow.hear(DESK, steps[0].state, Heard(text="what are your prices"))
    assert show(after) == (
        "A yoga class is fifteen dollars, and a massage is sixty dollars an hour. "
        "Is there anything else I can do for you?"
    )
    before = flow.hear(DESK, state, Heard(text="yes"))
    assert show(before) == show(steps)


# ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("three", "15:00"),
        ("nine", "09:00"),
        ("3pm", "15:00"),
        ("3:30 p.m.", "15:30"),
        ("15:45", "15:45"),
        ("9:00", "09:00"),
        ("three thirty", "15:30"),
        ("three forty five pm", "15:45"),
        ("ten oh five", "10:05"),
        ("half past three", "15:30"),
        ("a quarter to ten", "09:45"),
        ("quarter past twelve", "12:15"),
        ("quarter to one", "12:45"),
        ("noon", "12:00"),
        ("midnight", "00:00"),
        ("twelve am", "00:00"),
        ("eight in the evening", "20:00"),
        ("ten o'clock", "10:00"),
        ("ten o'clock in the morning", "10:00"),
        ("25:00", None),
        ("thirty", None),
    ],
)
def test_times(text: str, value: str | None) -> None:
    heard = words(text)
    whole = [found for end, found in readings(DESK, None, "time", heard, 0) if end == len(heard)]
    assert whole[:1] == ([] if value is None else [value])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("monday", "monday"),
        ("next Tuesday", "tuesday"),
        ("today", "friday"),
        ("tomorrow", "saturday"),
        ("the day after tomorrow", "sunday"),
        ("mondays", "monday"),
    ],
)
def test_days(text: str, value: str) -> None:
    assert next(readings(DESK, "friday", "day", words(text), 0)) == (len(words(text)), value)


# ── grammar ────────────────────────────────────────────────────────────────────────────────────────────────────────


def states() -> list[FlowState]:
    """One state per node, with and without a clock."""
    return [FlowState(node=node, today=today) for node in DESK.nodes for today in (None, "monday")]


def test_grammars_load() -> None:
    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    for number, text in enumerate(dict.fromkeys(flow.grammar(DESK, state) for state in states())):
        assert text.startswith("#JSGF V1.0;\n")
        decoder.add_jsgf_string(f"g{number}", text)
        decoder.activate_search(f"g{number}")


def test_words_are_in_the_dictionary() -> None:
    known = {entry.split(" ")[0] for entry in DICTIONARY.read_text().splitlines()}
    said = {word for sentence in flow.sentences(DESK) for word in sentence.split()}
    assert said - known == set()


def test_sentences_are_bounded_and_understood() -> None:
    said = flow.sentences(DESK)
    assert 300 < len(said) <= 2_000
    assert len(set(said)) == len(said)


def test_no_grammar_for_free_text() -> None:
    text = FRONT_DESK.read_text().replace('[slots.phone]\ntype = "phone"', '[slots.phone]\ntype = "text"')
    text = text.replace('answers = ["[my number is | it is | it\'s] {phone}"]\n', "")
    document = load_agent(text, file="front-desk.toml")
    assert flow.hints(document, FlowState(node="ask_phone")).grammar is None
    assert flow.hints(document, FlowState(node="ask_topic")).grammar is not None
    said = talk("call me back", "at my sister's, 55 12", document=document)
    assert said[1] == "I heard at my sister's, 55 12. Is that right?"


# ── properties ─────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES = {
    "day": "monday",
    "asked_day": "tuesday",
    "time": "ten am",
    "topic": "my bill",
    "phone": "one two three four five",
}


def phrases_in(node: str) -> list[tuple[str | None, str]]:
    """Every phrase that makes sense in a node, with what it means."""
    found: list[tuple[str | None, str]] = []
    asked = DESK.nodes[node]
    for name, intent in DESK.intents.items():
        if is_global(intent) or (isinstance(asked, AskNode) and name in asked.on):
            found += [(name, phrase) for phrase in intent.phrases]
    return found


@pytest.mark.parametrize("node", [name for name, node in DESK.nodes.items() if isinstance(node, AskNode)])
def test_every_phrase_means_its_intent(node: str) -> None:
    """All expansions; where an answer of the node reads the same, the answer comes first."""
    state = FlowState(node=node)
    for intent, phrase in phrases_in(node):
        for flat in expansions(parse_phrase(phrase), 300):
            text = " ".join(part.written if isinstance(part, Literal) else VALUES[part.slot] for part in flat)
            found = understand(DESK, state, Heard(text=text))
            assert found is not None, text
            assert found.intent in {intent, None}, text
            if found.intent is None:
                asked = DESK.nodes[node]
                assert isinstance(asked, AskNode) and asked.slot in found.slots, text
            shouted = understand(DESK, state, Heard(text=f"{text.upper()}!?"))
            assert shouted == found, text


SENTENCES = st.sampled_from(flow.sentences(DESK))
WORDS = st.sampled_from(sorted({word for sentence in flow.sentences(DESK) for word in sentence.split()}))
HEARD = st.one_of(
    st.none(),
    st.builds(Heard, text=SENTENCES),
    st.builds(Heard, text=st.lists(WORDS, max_size=12).map(" ".join), trusted=st.booleans()),
    st.builds(Heard, text=st.text(max_size=40), trusted=st.booleans()),
    st.builds(Heard, text=st.sampled_from(["yes", "no", *"0123456789*#"])),
)
BAKERY = load_agent(
    (Path(__file__).parents[2] / "docs/agents.md").read_text().split("```toml\n")[1].split("```")[0], file="d"
)


def move(document: AgentDocument, state: FlowState, heard: Heard | None, *, works: bool) -> tuple[flow.Step, ...]:
    """A whole move, with tools that work or fail."""

    def run(steps: tuple[flow.Step, ...], *, ask: bool) -> Iterator[flow.Step]:
        nonlocal state
        for step in steps:
            state = step.state
            yield step
        if steps and isinstance(steps[-1].action, flow.UseTool):
            state = flow.returned(document, state, {"number": 7}) if works else flow.failed(state)
            yield from run(flow.go_on(document, state, ask=ask), ask=ask)

    before = tuple(run(flow.unfinished(document, state), ask=False))
    answer = flow.wait(document, state) if heard is None else flow.hear(document, state, heard)
    return (*before, *run(answer, ask=True))


@settings(deadline=None)
@given(
    document=st.sampled_from([DESK, BAKERY]),
    turns=st.lists(st.tuples(HEARD, st.integers(0, 8), st.booleans()), max_size=15),
    today=st.sampled_from([None, "sunday"]),
    variables=st.dictionaries(st.sampled_from(["visitor", "x"]), st.text(max_size=10)),
)
def test_any_conversation(
    document: AgentDocument,
    turns: list[tuple[Heard | None, int, bool]],
    today: str | None,
    variables: dict[str, str],
) -> None:
    """Whatever is heard and wherever it is interrupted: something is said or the call ends; silence always ends it."""
    state = flow.open_flow(document, variables, today=today)[-1].state
    for heard, stop, works in turns:
        steps = move(document, state, heard, works=works)
        assert any(isinstance(step.action, Say | Finish) for step in steps)
        said = "".join(step.action.text for step in steps if isinstance(step.action, Say))
        assert "{" not in said or "{" in str((variables, turns))
        finishes = [step for step in steps if isinstance(step.action, Finish)]
        assert finishes in ([], [steps[-1]])
        assert steps[-1].state.finished == bool(finishes)
        if not finishes:
            assert isinstance(document.nodes[steps[-1].state.node], AskNode)
        state = steps[min(stop, len(steps) - 1)].state
    last = move(document, state, None, works=False)[-1]
    # Prompted once more; twice where a dialed number was taken in place of the first prompt.
    for _ in range(2):
        if not last.state.finished:
            last = move(document, last.state, None, works=False)[-1]
    assert isinstance(last.action, Finish)
    assert last.action.reason in {EndReason.SILENCE, EndReason.AGENT_COMPLETED}


@settings(deadline=None)
@given(st.lists(st.text(alphabet="qxzj ", min_size=1, max_size=20), min_size=6, max_size=6))
def test_nonsense_comes_to_an_end(texts: list[str]) -> None:
    state = flow.open_flow(DESK, {})[-1].state
    for text in texts:
        state = flow.hear(DESK, state, Heard(text=text))[-1].state
        if state.finished:
            return
    raise AssertionError(state)


def lines_run(text: str, state: FlowState) -> int:
    """Lines of Python that run while ``text`` is understood: its cost on any machine."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        understand(DESK, state, Heard(text=text))
    finally:
        sys.settrace(before)
    return count


COSTLY = [
    "5", "12345678", "at five", "x", "monday", "next", "i'd", "a" * 40, "appointment", "appointmnet", "half past", "[",
]  # fmt: skip
KNOWN = sorted({word for phrase in candidates(DESK) for word in words(phrase)})
#: About ten milliseconds; it was more than ten times as much.
MOST_LINES = 120_000


@given(
    st.one_of(
        st.sampled_from(COSTLY).map(lambda word: f"{word} " * 1000),
        st.lists(st.sampled_from(COSTLY + sorted({word for text in candidates(DESK) for word in words(text)}))).map(
            " ".join
        ),
        st.text(max_size=4000),
    ),
    st.sampled_from(sorted(DESK.nodes)),
)
@example("5 " * 1000, "confirm")
@example("12345678 " * 200, "confirm")
@example("a" * 2000, "confirm")
def test_no_text_takes_long_to_understand(text: str, node: str) -> None:
    """Understanding holds up all calls of a voice node, and callers type what they like."""
    state = FlowState(node=node, today="friday")
    # The document's own side of it is read once.
    understand(DESK, state, Heard(text="x y"))
    assert lines_run(text, state) < MOST_LINES
