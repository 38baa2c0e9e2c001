"""Logging: the standard library's, so that libraries' own lines come out the same way.

The text of a line is constant; values go in fields::

    log = logging.getLogger("offhook.voice")
    log.warning("message refused", extra={"call": call, "why": why})

Lines go to stderr: for people by default, one JSON object a line with ``format="json"``. (structlog would read the
same, but it takes a quarter of a second of each process's start.)
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

#: Libraries whose informative lines are about themselves: they speak from warnings on, or from there with ``debug``.
_CHATTY = (
    "aiortc",
    "aioice",
    "asyncio",
    "hypercorn",
    "httpx2",
    "httpcore2",
    "nats",
    "sqlalchemy",
    "alembic",
    "trio-websocket",
)
#: What every record has; anything else in one is a field.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Lines(logging.Formatter):
    """Lines for people: time, level, role, text, fields; a traceback below."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value!r}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname.lower():7} [{self._role}] {record.getMessage()}{fields}"
        return "\n".join(part for part in (line, *self._trouble(record)) if part)

    def _trouble(self, record: logging.LogRecord) -> tuple[str, ...]:
        return (
            self.formatException(record.exc_info) if record.exc_info else "",
            self.formatStack(record.stack_info) if record.stack_info else "",
        )


class _Objects(_Lines):
    """Lines for programs: one JSON object each."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": _time(record),
            "level": record.levelname.lower(),
            "role": self._role,
            "event": record.getMessage(),
            **_fields(record),
        }
        trouble = zip(("exception", "stack"), self._trouble(record), strict=True)
        line.update({name: text for name, text in trouble if text})
        return msgspec.json.encode(line, enc_hook=repr).decode()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def set_up_logs(*, role: str, level: Level = "warning", format: Format = "text") -> None:  # noqa: A002 - the option's name
    """Send all log lines of this process to stderr, each with its ``role``. Call it once, before the role starts."""
    # A log line that cannot be written (stderr is gone) must not end a call.
    logging.raiseExceptions = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Objects(role) if format == "json" else _Lines(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        # Their finest lines are one for each packet.
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.WARNING)
