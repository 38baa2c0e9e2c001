"""Which calls a command is about: options that become a ``CallFilter``."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import rich_click as click

from offhook.protocol.call import CallState, EndReason
from offhook.protocol.record import CallFilter
from offhook.services.cli.options import Function

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AGE = re.compile(r"(\d{1,6})([mhdw])")
#: Names of the options below, as they come to a command.
_NAMES = ("since", "until", "agent", "state", "reason", "channel", "text", "metadata")


def filter_options(function: Function) -> Function:
    """``--since`` and its like; the command gets ``wanted``, a function of the time now that makes the filter."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in _NAMES}
        return function(*arguments, wanted=lambda now: read_filter(now=now, **given), **options)

    wrapped: Any = call
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


#: Makes the filter, given the time now (seconds since the epoch).
Wanted = Callable[[float], CallFilter]

_OPTIONS = (
    click.option("--since", metavar="TIME", help="Only calls from then on: 2026-11-20, 2026-11-20T09:30, 2h, 7d."),
    click.option("--until", metavar="TIME", help="Only calls before then; written like --since."),
    click.option("--agent", metavar="ID", help="Only calls of this agent."),
    click.option("--state", metavar="STATE", help="Only calls in this state: answered, held, ended ..."),
    click.option("--reason", metavar="REASON", help="Only calls that ended so: caller_hangup, failed, lost ..."),
    click.option("--channel", metavar="CHANNEL", help="Only calls that came this way: web, chat ..."),
    click.option("--text", metavar="WORDS", help="Only ended calls in which all these words were said."),
    click.option(
        "--metadata", metavar="NAME=VALUE", multiple=True, help="Only calls with this metadata; may be repeated."
    ),
)


def read_filter(
    *,
    now: float,
    since: str | None = None,
    until: str | None = None,
    agent: str | None = None,
    state: str | None = None,
    reason: str | None = None,
    channel: str | None = None,
    text: str | None = None,
    metadata: tuple[str, ...] = (),
) -> CallFilter:
    """The filter that the options ask for. Raises ``click.UsageError``."""
    return CallFilter(
        since=_time("--since", since, now),
        until=_time("--until", until, now),
        agent=agent,
        state=_word(CallState, "state of a call. States", state),
        reason=_word(EndReason, "reason for an end. Reasons", reason),
        channel=channel,
        text=text,
        metadata=dict(map(_pair, metadata)) or None,
    )


def _time(option: str, text: str | None, now: float) -> float | None:
    if text is None:
        return None
    if age := _AGE.fullmatch(text.strip()):
        return now - int(age[1]) * _UNITS[age[2]]
    try:
        # Without a zone it is the time of this machine.
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.UsageError(
            f"{option} {text!r} is no time. Write 2026-11-20, 2026-11-20T09:30, or 30m, 2h, 7d, 4w for so long ago."
        ) from None


def _word(kind: Any, what: str, text: str | None) -> Any:
    try:
        return None if text is None else kind(text.lower())
    except ValueError:
        raise click.UsageError(f"{text!r} is no {what}: {', '.join(kind)}.") from None


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.UsageError(f"--metadata {text!r} is no NAME=VALUE, such as plan=gold.")
    return name, value
