"""Records as text for other programs: JSON lines, and CSV (RFC 4180) that a spreadsheet does not run.

A cell that begins like a formula gets an apostrophe in front: a spreadsheet then shows it and computes nothing.
"""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from offhook.protocol.record import CallRecord

ExportFormat = Literal["jsonl", "csv"]
#: Media type of each format.
MEDIA_TYPES: dict[ExportFormat, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

#: What formulas begin with, also after spaces; a tab or a line break in front hides the sign, and spreadsheets take
#: the wide forms, too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "|", "%")


def export_lines(records: Iterable[CallRecord], form: ExportFormat) -> Iterable[bytes]:
    """The records as text, some bytes at a time; CSV begins with a line of names."""
    if form == "jsonl":
        for record in records:
            yield msgspec.json.encode(record) + b"\n"
        return
    yield _csv(_COLUMNS)
    for record in records:
        yield _csv(column(record) for column in _COLUMNS.values())


def harmless(cell: str) -> str:
    """A text that is no formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _csv(cells: Iterable[str | float | None]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow(
        "" if cell is None else harmless(cell) if isinstance(cell, str) else cell for cell in cells
    )
    return written.getvalue().encode("utf-8", "replace")


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _transcript(record: CallRecord) -> str:
    return "\n".join(f"{line.role}: {line.text}" for line in record.transcript)


#: The columns of CSV, in order.
_COLUMNS: dict[str, Callable[[CallRecord], str | float | None]] = {
    "id": lambda record: record.id,
    "channel": lambda record: record.channel,
    "state": lambda record: record.state.value,
    "reason": lambda record: record.reason,
    "failure": lambda record: record.failure,
    "agent": lambda record: record.agent,
    "version": lambda record: record.version,
    "created_at": lambda record: _time(record.created_at),
    "answered_at": lambda record: _time(record.answered_at),
    "ended_at": lambda record: _time(record.ended_at),
    "duration": lambda record: round(record.duration, 3),
    "caller": lambda record: record.caller,
    "callee": lambda record: record.callee,
    "call_sid": lambda record: record.call_sid,
    "variant": lambda record: record.variant,
    "variables": lambda record: _json(record.variables),
    "metadata": lambda record: _json(record.metadata),
    "transcript": _transcript,
    "analysis": lambda record: record.analysis.state if record.analysis else None,
    "outcome": lambda record: record.analysis.outcome if record.analysis else None,
    "summary": lambda record: record.analysis.summary if record.analysis else None,
    "fields": lambda record: _json(record.analysis.fields) if record.analysis else None,
}
