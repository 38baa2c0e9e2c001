"""Logging: structlog in front, the standard library behind, so that libraries' own lines come out the same way.

The text of a line is constant; values go in fields::

    log = structlog.get_logger()
    log.warning("lease lost", call=call, node=node)

Lines go to stderr: for people by default, one JSON object a line with ``format="json"``.
"""

import logging
import sys
from typing import Any, Literal

import structlog

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

#: Libraries whose informative lines are about themselves; they speak from warnings on, whatever the level.
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


def set_up_logs(*, role: str, level: Level = "warning", format: Format = "text") -> None:  # noqa: A002 - the option's name
    """Send all log lines of this process to stderr, each with its ``role``. Call it once, before the role starts."""
    # A log line that cannot be written (stderr is gone) must not end a call.
    logging.raiseExceptions = False
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if format == "json":
        final += [structlog.processors.format_exc_info]
        renderer: Any = structlog.processors.JSONRenderer()
    else:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)

    def add_role(_logger: Any, _name: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if format == "json":
            fields["role"] = role
        else:
            fields["event"] = f"[{role}] {fields['event']}"
        return fields

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*final, add_role, renderer])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
