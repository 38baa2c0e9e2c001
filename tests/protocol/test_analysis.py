"""Looking over calls: what rules find, what a model is asked, and which of its answers are taken."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.agent import DocumentError, load_agent
from offhook.protocol.agent.analysis import ByModel, ByRules, ModelField, OutcomeRule, RuleField
from offhook.protocol.analysis import BadAnswer, Findings, analyse, model_request, read_answer, wait_after_failure
from offhook.protocol.record import CallRecord, TranscriptLine

SPOKEN = [
    ("agent", "Hello, this is the florist."),
    ("caller", "I want 12 roses on Monday, no, 24 roses on Tuesday."),
    ("agent", "Your order is booked. That is 36,50 in all."),
    ("caller", "Thank you"),
]
RECORD = CallRecord(
    id="1", duration=61.4,
    transcript=tuple(
        TranscriptLine(number, role, text, 0.0, 1.0) for number, (role, text) in enumerate(SPOKEN, 1)  # type: ignore[arg-type]
    ),
)  # fmt: skip
RULES = ByRules(
    outcomes=(OutcomeRule("complained", "angry", "caller"), OutcomeRule("ordered", r"order is BOOKED", "agent")),
    otherwise="nothing",
    fields={
        "roses": RuleField(r"(\d+) roses", "number"),
        "price": RuleField(r"\d+,\d+", "number", "agent"),
        "day": RuleField(r"on (\w+day)"),
        "name": RuleField("my name is (.*)"),
    },
)
MODEL = ByModel(
    url="http://localhost/v1", model="m", outcomes=("ordered", "nothing"),
    fields={"roses": ModelField("how many", "number"), "gift": ModelField("is it?", "boolean"), "day": ModelField("")},
)  # fmt: skip
ANSWER: dict[str, Any] = {
    "summary": "Roses.",
    "outcome": "ordered",
    "fields": {"roses": 24, "gift": None, "day": "Tuesday"},
}


def completion(answer: object) -> bytes:
    content = answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()
    return msgspec.json.encode({"choices": [{"message": {"role": "assistant", "content": content}}], "usage": {}})


def test_rules_find_outcome_and_fields() -> None:
    found = analyse(RULES, RECORD)
    assert (found.outcome, found.fields) == ("ordered", {"roses": 12.0, "price": 36.5, "day": "Monday", "name": None})
    assert found.summary == (
        '4 lines in 61 s. The caller began with: "I want 12 roses on Monday, no, 24 roses on Tuesday." '
        'The caller ended with: "Thank you"'
    )
    assert analyse(RULES, CallRecord(id="1")).outcome == "nothing"


@given(st.lists(st.tuples(st.sampled_from(["caller", "agent"]), st.text())))
def test_rules_take_any_transcript(spoken: list[tuple[Any, str]]) -> None:
    lines = tuple(TranscriptLine(number, role, text, 0.0, 1.0) for number, (role, text) in enumerate(spoken, 1))
    assert analyse(RULES, CallRecord(id="1", transcript=lines)).outcome in {"complained", "ordered", "nothing"}


def test_a_model_is_asked_with_a_schema() -> None:
    asked = model_request(MODEL, RECORD)
    assert asked["messages"][1]["content"].splitlines()[1] == f"caller: {SPOKEN[1][1]}"
    schema = asked["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["outcome"]["enum"] == ["ordered", "nothing"]
    assert schema["properties"]["fields"]["properties"]["roses"]["type"] == ["number", "null"]


def test_an_answer_that_fits_is_taken() -> None:
    fields = {"roses": 24.0, "gift": None, "day": "Tuesday"}
    assert read_answer(MODEL, completion(ANSWER)) == Findings(summary="Roses.", outcome="ordered", fields=fields)


@pytest.mark.parametrize(
    "answer",
    [
        "Sure! Here is the summary.", "[]", "", ANSWER | {"outcome": "sold"}, ANSWER | {"outcome": None},
        ANSWER | {"summary": " "},
        ANSWER | {"fields": {"roses": "many"}}, ANSWER | {"fields": {"gift": "yes"}}, ANSWER | {"fields": {"day": {}}},
        {"outcome": "ordered"}, "[" * 10_000,
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_refused(answer: object) -> None:
    with pytest.raises(BadAnswer):
        read_answer(MODEL, completion(answer))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"choices":[]}', b'{"choices":[{"message":{"content":null}}]}', b"\xff"]
)
def test_what_is_no_completion_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_answer(MODEL, data)


def test_attempts_come_to_an_end() -> None:
    waits = [wait_after_failure(attempts) for attempts in range(1, 8)]
    assert waits[:5] == [5.0, 30.0, 120.0, 600.0, 1800.0] and waits[5:] == [None, None]


DOCUMENT = """
id = "a"
name = "A"
[brain]
kind = "echo"
[analysis]
"""


def test_an_analysis_in_a_document() -> None:
    wanted = load_agent(DOCUMENT + 'kind = "rules"\noutcomes = [{ outcome = "x", said = "y" }]', file="a").analysis
    assert wanted == ByRules(outcomes=(OutcomeRule("x", "y"),))
    for wrong in (
        'kind = "rules"\nfields.day.find = "("',
        'kind = "rules"\noutcomes = [{ outcome = "x", said = "*" }]',
        'kind = "model"\nmodel = "m"\nurl = "localhost"',
        'kind = "magic"',
    ):
        with pytest.raises(DocumentError):
            load_agent(DOCUMENT + wrong, file="a")


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("https://api.openai.com/v1", "OFFHOOK_KEY_API_OPENAI_COM"),
        ("https://API.openai.com.:443/v1", "OFFHOOK_KEY_API_OPENAI_COM"),
        ("https://api-openai.com/v1", "OFFHOOK_KEY_API__OPENAI_COM"),
        ("http://127.0.0.1:11434/v1", "OFFHOOK_KEY_127_0_0_1"),
        ("http://[::1]:8000/v1", "OFFHOOK_KEY___1"),
    ],
)
def test_a_document_names_only_the_key_of_its_own_server(url: str, variable: str) -> None:
    document = f'{DOCUMENT}kind = "model"\nmodel = "m"\nurl = "{url}"\n'
    for key in ("", variable):
        wanted = load_agent(f'{document}key = "{key}"', file="a").analysis
        assert isinstance(wanted, ByModel) and wanted.key == key
    for other in ("OFFHOOK_SETTINGS", "PATH", "OFFHOOK_KEY_", "OFFHOOK_KEY_OTHER_EXAMPLE", variable.lower()):
        with pytest.raises(DocumentError, match=variable):
            load_agent(f'{document}key = "{other}"', file="a")
    with pytest.raises(DocumentError, match="user"):
        load_agent(document.replace("://", "://api.openai.com@"), file="a")
