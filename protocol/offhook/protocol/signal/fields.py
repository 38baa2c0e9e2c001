"""Fields of a client frame: taken one by one, each refused with the JSON pointer (RFC 6901) of the culprit.

Identifiers are refused when they hold what hides or reorders text; free text is cleaned instead, because a person
wrote it.
"""

import re
from collections.abc import Sequence
from typing import Any

from offhook.protocol.errors import Reason, Refusal

#: Longest identifier, characters.
MAX_ID = 128
#: Longest free text, UTF-8 bytes.
MAX_TEXT = 2048
#: Most entries of ``variables`` and ``metadata``.
MAX_ENTRIES = 64

#: C0 and C1 controls, lone surrogates, and the controls of Unicode's bidirectional algorithm (UAX #9 2.1-2.6).
_HIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_NOT_IN_TEXT = re.compile(f"[{_HIDDEN}]")
_NOT_IN_ID = re.compile(f"[{_HIDDEN}\t\r\n]")


def clean(text: str) -> str:
    """``text`` with each control, lone surrogate and bidi control replaced by U+FFFD; tabs and line ends stay."""
    return _NOT_IN_TEXT.sub("\ufffd", text)


def clean_value(value: Any) -> Any:
    """A JSON value with every string in it cleaned; its depth was bounded when it was read."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_value(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_value(item) for key, item in value.items()}
    return value


class Fields:
    """The members of one JSON object on their way to a Struct. Every method raises ``Refusal`` (``invalid_field``)."""

    def __init__(self, members: dict[str, Any], pointer: str = "") -> None:
        self._members = members
        self._pointer = pointer

    def refuse(self, name: str, message: str) -> Refusal:
        """The refusal of member ``name``; ``message`` completes the sentence that begins with its pointer."""
        pointer = f"{self._pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        return Refusal(Reason.INVALID_FIELD, f"{clean(pointer[:200])} {message}", pointer=clean(pointer[:200]))

    def raw(self, name: str) -> Any:
        """The member as it is, or None."""
        return self._members.get(name)

    def string(self, name: str) -> str:
        """A string that must be there."""
        value = self._members.get(name)
        if not isinstance(value, str):
            raise self.refuse(name, "must be a string." if name in self._members else "is missing.")
        return value

    def identifier(self, name: str) -> str:
        """An identifier that must be there; it may be empty."""
        value = self.string(name)
        if len(value) > MAX_ID:
            raise self.refuse(name, f"must have at most {MAX_ID} characters.")
        if _NOT_IN_ID.search(value):
            raise self.refuse(name, "must not contain control characters.")
        return value

    def optional_identifier(self, name: str) -> str | None:
        """An identifier, or None when it is missing, null or empty."""
        return None if self.raw(name) is None else self.identifier(name) or None

    def text(self, name: str, *, limit: int = MAX_TEXT) -> str:
        """Cleaned free text of at most ``limit`` UTF-8 bytes that must be there."""
        value = clean(self.string(name))
        if len(value.encode()) > limit:
            raise self.refuse(name, f"must have at most {limit} bytes.")
        return value

    def choice(self, name: str, words: Sequence[str]) -> str:
        """One of ``words``."""
        value = self.string(name)
        if value not in words:
            raise self.refuse(name, f"must be one of: {', '.join(words)}.")
        return value

    def flag(self, name: str) -> bool:
        """A boolean; False when it is missing or null."""
        value = self.raw(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.refuse(name, "must be true or false.")
        return value

    def small_int(self, name: str) -> int | None:
        """An integer from 0 to 65535, or None when it is missing or null."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0xFFFF:
            raise self.refuse(name, "must be an integer from 0 to 65535.")
        return value

    def inner(self, name: str) -> "Fields":
        """The members of an object that must be there."""
        value = self._members.get(name)
        if not isinstance(value, dict):
            raise self.refuse(name, "must be an object." if name in self._members else "is missing.")
        return Fields(value, f"{self._pointer}/{name}")

    def optional_inner(self, name: str) -> "Fields | None":
        """The members of an object, or None when it is missing or null."""
        return None if self.raw(name) is None else self.inner(name)

    def strings(self, name: str) -> dict[str, str]:
        """A map of identifiers to free text; empty when it is missing or null."""
        entries = self.optional_inner(name)
        if entries is None:
            return {}
        if len(entries._members) > MAX_ENTRIES:
            raise self.refuse(name, f"must have at most {MAX_ENTRIES} entries.")
        for key in entries._members:
            if not key or len(key) > MAX_ID or _NOT_IN_ID.search(key):
                raise self.refuse(
                    name, f"has a name that is empty, too long or has control characters: {clean(key[:40])!r}."
                )
        return {key: entries.text(key) for key in entries._members}
