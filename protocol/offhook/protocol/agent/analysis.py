"""What an agent's document asks to be found out about its calls once they have ended (R3)."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No field but those declared."""


#: Who said what a rule looks at.
Speaker = Literal["caller", "agent", "anybody"]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class OutcomeRule(_Strict, frozen=True):
    """The outcome of calls in which somebody said something; of several rules the first that fits counts."""

    outcome: str
    #: A regular expression, looked for in each line without regard to case.
    said: Pattern
    by: Speaker = "anybody"


class RuleField(_Strict, frozen=True):
    """A field that a regular expression finds: its first group, or all of it, in the last line that has one."""

    find: Pattern
    type: Literal["text", "number"] = "text"
    by: Speaker = "caller"


class ModelField(_Strict, frozen=True):
    """A field that a language model is asked for."""

    description: str
    type: Literal["text", "number", "boolean"] = "text"


class ByRules(_Strict, frozen=True, tag_field="kind", tag="rules"):
    """Analysis by rules: works offline, costs nothing."""

    outcomes: tuple[OutcomeRule, ...] = ()
    #: The outcome when no rule fits.
    otherwise: str = ""
    fields: dict[str, RuleField] = {}


class ByModel(_Strict, frozen=True, tag_field="kind", tag="model"):
    """Analysis by a language model behind an OpenAI-compatible endpoint."""

    #: Such as ``http://127.0.0.1:11434/v1``; ``/chat/completions`` is added.
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+$", max_length=500)]
    model: str
    #: Name of the environment variable of the records role that holds the key; empty: none is sent.
    key: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_0-9]*$")] = ""
    #: What else the model should know.
    instructions: str = ""
    #: The outcomes to choose from; without any the model gives none.
    outcomes: tuple[str, ...] = ()
    fields: dict[str, ModelField] = {}


AnalysisWanted = ByRules | ByModel


def check_patterns(wanted: AnalysisWanted | None) -> Iterator[tuple[tuple[str, ...], str]]:
    """Regular expressions that are none, with their places."""
    if not isinstance(wanted, ByRules):
        return
    found = [(("analysis", "outcomes"), rule.said) for rule in wanted.outcomes]
    found += [(("analysis", "fields", name, "find"), field.find) for name, field in wanted.fields.items()]  # type: ignore[misc]
    for path, pattern in found:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            yield path, f'"{pattern}" is no regular expression: {error}'
