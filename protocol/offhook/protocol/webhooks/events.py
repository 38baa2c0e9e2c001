"""Which events a webhook is told, made from the entries of a call's log."""

import hashlib
from typing import Any

import msgspec

from offhook.protocol.call import CallState, LogEntry
from offhook.protocol.call.events import Offered, RecordingSaved
from offhook.protocol.record import Advance, CallRecord, summarize

#: What a webhook can be told. ``transcript.final`` comes once for each line that is final; ``call.ended`` has them all.
WEBHOOK_EVENTS = (
    "call.started",
    "call.ringing",
    "call.answered",
    "transcript.final",
    "call.ended",
    "analysis.done",
    "recording.ready",
)

_ENTERED = {CallState.RINGING: "call.ringing", CallState.ENDED: "call.ended"}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one call."""

    event: str
    call: str
    workspace: str
    #: When it happened, seconds since the epoch.
    at: float
    #: What is said of it; of ``call.ended`` whoever has the record adds it (``body_of``).
    data: dict[str, Any]
    #: Tells it from others of its kind in the call: the position in the log.
    mark: str


def tell(entry: LogEntry, gained: Advance, *, answered_before: bool) -> list[Told]:
    """What one entry, taken into its record, has to tell."""
    call = gained.progress.call
    if call.offer is None:
        return []
    told = list[tuple[str, dict[str, Any]]]()
    entered = gained.entered
    if isinstance(entry.event, Offered) and entered is not None:
        told.append(("call.started", {}))
    if entered is not None and entered.state in _ENTERED:
        told.append((_ENTERED[entered.state], {}))
    if entered is not None and entered.state is CallState.ANSWERED and not answered_before:
        told.append(("call.answered", {}))
    if gained.line is not None:
        told.append(("transcript.final", {"line": msgspec.to_builtins(gained.line)}))
    if isinstance(entry.event, RecordingSaved) and call.recording is not None:
        told.append(("recording.ready", {"recording": msgspec.to_builtins(call.recording)}))
    facts = msgspec.to_builtins(summarize(gained.progress)) if told else {}
    return [
        Told(event=event, call=entry.call, workspace=call.offer.workspace, at=entry.at, data={"call": facts, **more},
             mark=str(entry.seq))
        for event, more in told
    ]  # fmt: skip


def message_id(told: Told) -> str:
    """The ``webhook-id``: the same for the same event of the same call, whoever makes it and how often."""
    text = f"{told.call}\0{told.event}\0{told.mark}".encode(errors="replace")
    return f"msg_{hashlib.sha256(text).hexdigest()[:32]}"


def body_of(told: Told, record: CallRecord | None = None) -> str:
    """The JSON that is sent; with ``record`` the call is said whole, its transcript and analysis too."""
    data = told.data if record is None else told.data | {"call": msgspec.to_builtins(record)}
    # Seconds since the epoch in our own fields; the standard's own timestamp as it wants it (RFC 3339).
    stamp = msgspec.json.encode(_utc(told.at)).decode().strip('"')
    return msgspec.json.encode({"type": told.event, "timestamp": stamp, "data": data}).decode()


def _utc(at: float) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC)
