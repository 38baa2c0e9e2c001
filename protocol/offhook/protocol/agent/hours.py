"""Opening hours: reading them, asking them, and saying them."""

import re

from offhook.protocol.agent.document import DAYS, Opening
from offhook.protocol.agent.words import number_words
from offhook.protocol.errors import OffhookError

_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")


class HoursError(OffhookError):
    """Opening hours that are not written as ``9:00-17:00``."""


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """The open spans of a day in minutes since midnight. Raises ``HoursError``."""
    found: list[tuple[int, int]] = []
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        match = _SPAN.fullmatch(piece)
        if match is None:
            raise HoursError(f'"{piece}" are no opening hours; write them as 9:00-17:00')
        begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if not begin < end <= 24 * 60:
            raise HoursError(f'"{piece}" ends before it begins, or after midnight; correct the times')
        found.append((begin, end))
    return tuple(found)


def is_open(opening: Opening, day: str | None, time: str | None = None) -> bool:
    """Open on ``day`` (None: on any day) at ``time`` (``15:30``; None: at any time)?"""
    minutes = None if time is None else int(time[:2]) * 60 + int(time[3:])
    return any(
        minutes is None or begin <= minutes < end
        for weekday in ((day,) if day else DAYS)
        for begin, end in spans(getattr(opening, weekday))
    )


def say_time(time: str) -> str:
    """``15:30`` as ``three thirty in the afternoon``."""
    hour, minute = int(time[:2]), int(time[3:])
    if minute == 0 and hour in {0, 12}:
        return "noon" if hour else "midnight"
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    return f"{_clock(hour, minute)} {part}"


def say_day(opening: Opening, day: str) -> str:
    """``open from nine to five``, or ``closed``."""
    hours = _say_spans(getattr(opening, day))
    return f"open {hours}" if hours else "closed"


def say_week(opening: Opening) -> str:
    """``Monday to Friday from nine to five, and Saturday from ten to two``; days with equal hours go together."""
    runs: list[tuple[str, str, str]] = []
    for day in DAYS:
        hours = _say_spans(getattr(opening, day))
        if runs and runs[-1][2] == hours:
            runs[-1] = (runs[-1][0], day, hours)
        else:
            runs.append((day, day, hours))
    said = [
        (first.title() if first == last else f"{first.title()} to {last.title()}") + f" {hours}"
        for first, last, hours in runs
        if hours
    ]
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + (f", and {said[-1]}" if said else "")


def _say_spans(text: str) -> str:
    return " and ".join(f"from {_bare(begin)} to {_bare(end)}" for begin, end in spans(text))


def _bare(minutes: int) -> str:
    hour, minute = divmod(minutes, 60)
    if minute == 0 and hour in {0, 12, 24}:
        return "noon" if hour == 12 else "midnight"
    return _clock(hour, minute)


def _clock(hour: int, minute: int) -> str:
    spoken = number_words((hour - 1) % 12 + 1)
    if minute == 0:
        return spoken
    return f"{spoken} {'oh ' if minute < 10 else ''}{number_words(minute)}"
