"""Placeholders in spoken texts: ``{day}``."""

import re
from collections.abc import Callable

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def placeholders(text: str) -> list[str]:
    """Names between braces, in order."""
    return _PLACEHOLDER.findall(text)


def fill(text: str, value: Callable[[str], str]) -> str:
    """Put values in; what an empty value leaves behind (double spaces, a space before a comma) is tidied."""
    text = _PLACEHOLDER.sub(lambda match: value(match[1]), text)
    return re.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))
