"""Phrases: the small language in which an author writes what callers may say.

``book an appointment``     these words
``(open | close)``          one of these
``[please]``                this or nothing; ``[a | an]`` works too
``{day}``                   a value of the slot ``day``

A parsed phrase is a tuple of parts. ``count`` and ``nth`` number its expansions without making them all, so that a few
can be taken evenly out of very many.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from math import prod

import msgspec

from offhook.protocol.agent.words import words
from offhook.protocol.errors import OffhookError


class PhraseError(OffhookError):
    """A phrase is not written as it should be; the text says what is wrong and what to do."""


class Literal(msgspec.Struct, frozen=True):
    """A word as written (for the grammar) and the words it is compared as."""

    written: str
    words: tuple[str, ...]


class SlotRef(msgspec.Struct, frozen=True):
    """A value of a slot."""

    slot: str


class Either(msgspec.Struct, frozen=True):
    """One of several sequences of parts; an empty one among them makes it optional."""

    options: tuple["Parts", ...]


Part = Literal | SlotRef | Either
Parts = tuple[Part, ...]
#: An expansion: no choices left.
Flat = tuple[Literal | SlotRef, ...]

_TOKEN = re.compile(r"\{[^{}]*\}|[\[\]()|{}]|[^\s\[\](){}|]+")
_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_CLOSING = {"(": ")", "[": "]"}


@lru_cache(maxsize=4096)
def parse_phrase(text: str) -> Parts:
    """Read a phrase. Raises ``PhraseError``; also for one that may be empty or says nothing."""
    tokens: list[str] = _TOKEN.findall(text)
    options, rest = _options(tokens, 0, text)
    if rest < len(tokens):
        raise PhraseError(f'`{tokens[rest]}` closes nothing in "{text}"; remove it or open it before')
    parts: Parts = options[0] if len(options) == 1 else (Either(tuple(options)),)
    if may_be_empty(parts):
        raise PhraseError(f'"{text}" may be empty: put at least one word or slot outside of [...]')
    return parts


def _options(tokens: list[str], at: int, text: str) -> tuple[list[Parts], int]:
    """Alternatives up to a closing token (which is not consumed) or the end."""
    options: list[list[Part]] = [[]]
    while at < len(tokens) and tokens[at] not in ")]":
        token = tokens[at]
        at += 1
        if token == "|":
            options.append([])
        elif token in _CLOSING:
            inner, at = _options(tokens, at, text)
            if at >= len(tokens) or tokens[at] != _CLOSING[token]:
                raise PhraseError(f'`{token}` is not closed in "{text}"; write `{_CLOSING[token]}` after it')
            at += 1
            options[-1].append(Either((*map(tuple, inner), ()) if token == "[" else tuple(inner)))
        elif token[0] in "{}":
            slot = _SLOT.fullmatch(token)
            if slot is None:
                raise PhraseError(f'`{token}` is no slot in "{text}"; write a name of lower-case letters: {{day}}')
            options[-1].append(SlotRef(slot[1]))
        else:
            options[-1] += _literals(token)
    return [tuple(option) for option in options], at


def _literals(token: str) -> list[Literal]:
    """A written word: contractions stay as written for the grammar, digits become words, punctuation goes."""
    compared = words(token)
    if not compared:
        return []
    written = token.lower().strip(".,;:!?\"'")
    if re.fullmatch(r"[a-z]+(?:'[a-z]+)*|[ap]\.m", written):
        return [Literal(written.replace(".", ""), compared)]
    return [Literal(word, (word,)) for word in compared]


def may_be_empty(parts: Parts) -> bool:
    """True when the parts match no words at all."""
    return all(isinstance(part, Either) and any(map(may_be_empty, part.options)) for part in parts)


def slots_of(parts: Parts) -> Iterator[str]:
    """Names of the slots in ``parts``, with repetitions."""
    for part in parts:
        match part:
            case SlotRef(slot=slot):
                yield slot
            case Either(options=options):
                for option in options:
                    yield from slots_of(option)
            case Literal():
                pass


def count(parts: Parts) -> int:
    """Number of expansions (two that read the same count twice)."""
    return prod(sum(map(count, part.options)) for part in parts if isinstance(part, Either))


def nth(parts: Parts, index: int) -> Flat:
    """The expansion with this number, ``0 <= index < count(parts)``."""
    flat: list[Literal | SlotRef] = []
    for part in parts:
        if not isinstance(part, Either):
            flat.append(part)
            continue
        index, chosen = divmod(index, sum(map(count, part.options)))
        for option in part.options:
            if chosen < count(option):
                flat += nth(option, chosen)
                break
            chosen -= count(option)
    return tuple(flat)


def expansions(parts: Parts, limit: int) -> Iterator[Flat]:
    """At most ``limit`` expansions, spread evenly over all."""
    total = count(parts)
    for step in range(min(total, limit)):
        yield nth(parts, step * total // min(total, limit))
