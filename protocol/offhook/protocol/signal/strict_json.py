"""JSON as a peer we do not trust sends it: one object, bounded in depth and numbers, no name twice."""

import json
import math
import re
from typing import Any

from offhook.protocol.errors import Reason, Refusal

#: Deepest nesting of objects and arrays.
MAX_DEPTH = 16
#: Longest integer, characters; a longer one would cost quadratic time to read.
MAX_DIGITS = 20

_ESCAPE = re.compile(r"\\.", re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def read_object(text: str) -> dict[str, Any]:
    """The JSON object that ``text``, a frame, is.

    Raises ``Refusal`` (``invalid_json``) for anything else, as ``read_value`` does.
    """
    value = read_value(text, "frame")
    if not isinstance(value, dict):
        raise _invalid("The frame must be one JSON object.")
    return value


def read_value(text: str, what: str) -> Any:
    """What ``text`` says in JSON; ``what`` names it in sentences.

    Raises ``Refusal`` (``invalid_json``) for anything else, RFC 8259 read strictly: NaN, Infinity, numbers beyond
    a double, integers of more than ``MAX_DIGITS`` characters, names given twice, nesting beyond ``MAX_DEPTH``.
    """
    if _depth(text) > MAX_DEPTH:
        raise _invalid(f"The {what} is nested more than {MAX_DEPTH} levels deep.")
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_finite,
            object_pairs_hook=_without_doubles,
        )
    except ValueError as error:
        raise _invalid(f"The {what} is not valid JSON: {error}.") from error


def _depth(text: str) -> int:
    """Deepest nesting in ``text``, found before the recursive parser sees it.

    Without escapes a quote always opens or closes a string, so every other piece between quotes is outside of one.
    Where that does not hold, the text has a backslash outside of a string, and the parser stops there.
    """
    depth = deepest = 0
    for piece in _ESCAPE.sub("", text).split('"')[::2]:
        for bracket in _BRACKET.findall(piece):
            depth += 1 if bracket in "[{" else -1
            deepest = max(deepest, depth)
    return deepest


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return members


def _invalid(message: str) -> Refusal:
    return Refusal(Reason.INVALID_JSON, message)
