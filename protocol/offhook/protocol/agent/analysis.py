"""What an agent's document asks to be found out about its calls once they have ended (R3)."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from offhook.protocol.webhooks import UrlNotAllowed, parse_networks, read_target

#: Where a URL leads is not looked at where it is read, but before something is sent there.
_ANYWHERE = parse_networks(("0.0.0.0/0", "::/0"))


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
    #: Name of the environment variable of the records role with the key, as ``key_variable`` says; empty: none is sent.
    key: str = ""
    #: What else the model should know.
    instructions: str = ""
    #: The outcomes to choose from; without any the model gives none.
    outcomes: tuple[str, ...] = ()
    fields: dict[str, ModelField] = {}


AnalysisWanted = ByRules | ByModel


def key_variable(url: str) -> str:
    """The environment variable that holds the key for the server of this URL. Raises ``UrlNotAllowed``.

    It has the server's name in it, so that whoever may write documents can send a key only where it belongs, and reads
    nothing else of the environment. A hyphen is doubled: names that differ in a dot and a hyphen have two owners.
    """
    host = read_target(url, allowed=_ANYWHERE).host
    return "OFFHOOK_KEY_" + re.sub("[^A-Z0-9]", "_", host.upper().replace("-", "__"))


def check_analysis(wanted: AnalysisWanted | None) -> Iterator[tuple[tuple[str, ...], str]]:
    """Regular expressions that are none, URLs that lead nowhere and keys of something else, with their places."""
    match wanted:
        case ByRules():
            yield from _check_patterns(wanted)
        case ByModel():
            try:
                variable = key_variable(wanted.url)
            except UrlNotAllowed as error:
                yield ("analysis", "url"), str(error)
                return
            if wanted.key not in {"", variable}:
                yield ("analysis", "key"), f"for this `url` it can only be {variable}, a variable named after the host"


def _check_patterns(wanted: ByRules) -> Iterator[tuple[tuple[str, ...], str]]:
    found = [(("analysis", "outcomes"), rule.said) for rule in wanted.outcomes]
    found += [(("analysis", "fields", name, "find"), field.find) for name, field in wanted.fields.items()]  # type: ignore[misc]
    for path, pattern in found:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            yield path, f'"{pattern}" is no regular expression: {error}'
