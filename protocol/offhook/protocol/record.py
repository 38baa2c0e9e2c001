"""The record of a call (R2): what is kept and shown of it, made from its log and from nothing else.

``advance`` takes one entry and says what it adds to the record; ``fold_record`` is that over a whole log. Whoever keeps
records in a database stores a ``Progress`` beside them and writes what ``advance`` returns, so that the two agree by
construction, whatever was delivered twice and wherever a process died.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from offhook.protocol.call import Call, CallState, EndReason, LogEntry, Memory, NoEdge, Recording, take
from offhook.protocol.call.events import Said
from offhook.protocol.errors import OffhookError
from offhook.protocol.quality import Quality


class StateEntered(msgspec.Struct, frozen=True):
    """The call came into a state."""

    state: CallState
    #: Seconds since the epoch.
    at: float
    #: Name of the event that led there.
    because: str


class TranscriptLine(msgspec.Struct, frozen=True):
    """One line of what was said; for the agent, what the caller was played."""

    #: Number within the call, from 1, without gaps.
    line: int
    role: Literal["caller", "agent"]
    text: str
    #: Seconds since the epoch.
    began: float
    ended: float
    #: True when the agent was interrupted in this line.
    interrupted: bool = False


class CallSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the call history. Times are seconds since the epoch.

    There is no phone number: a web call has none, and ``caller`` and ``callee`` are the names the page gave.
    """

    id: str
    channel: str = "web"
    state: CallState = CallState.CREATED
    #: Why it ended; None while it lives.
    reason: EndReason | None = None
    #: The ``Reason`` word behind ``failed``.
    failure: str | None = None
    #: None for a caller who left before offering media.
    agent: str | None = None
    version: str | None = None
    workspace: str | None = None
    mode: str | None = None
    caller: str | None = None
    callee: str | None = None
    call_sid: str | None = None
    variant: str | None = None
    variables: dict[str, str] = {}
    metadata: dict[str, str] = {}
    created_at: float = 0.0
    answered_at: float | None = None
    ended_at: float | None = None
    #: Seconds between answer and end; 0 for a call that was never answered or still goes on.
    duration: float = 0.0
    #: None for a call that was not recorded.
    recording: Recording | None = None
    #: How its audio fared; None for a call that never had any.
    quality: Quality | None = None


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What came of looking over an ended call (R3)."""

    state: Literal["pending", "done", "failed"]
    summary: str | None = None
    #: One of the outcomes that the agent's document names.
    outcome: str | None = None
    #: What was found of the fields that the document asks for.
    fields: dict[str, str | float | bool | None] = {}
    #: Why it failed.
    error: str | None = None
    #: When it was done or given up, seconds since the epoch.
    done_at: float | None = None


class CallRecord(CallSummary, frozen=True, kw_only=True):
    """Everything that is kept of one call."""

    #: The states the call came through, oldest first.
    states: tuple[StateEntered, ...] = ()
    transcript: tuple[TranscriptLine, ...] = ()
    #: None where the agent's document asks for none, and before the end. Not made from the log.
    analysis: Analysis | None = None


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls to list; None stands for any."""

    workspace: str | None = None
    state: CallState | None = None
    agent: str | None = None
    reason: EndReason | None = None
    channel: str | None = None
    #: Calls created at or after ``since`` and before ``until``, seconds since the epoch.
    since: float | None = None
    until: float | None = None
    #: Ended calls in whose transcript words begin with each of these.
    text: str | None = None
    #: Names that the call's metadata holds, with these values.
    metadata: dict[str, str] | None = None


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """The report of an erasure: a call that is gone, and how much of each kind was deleted (nothing of what it was)."""

    call: str
    asked_at: float
    #: When log and files were gone, too; None: not yet.
    done_at: float | None = None
    deleted: dict[str, int] = {}


class CallPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some calls, newest first, and the cursor to go on with (None: these were the last)."""

    calls: tuple[CallSummary, ...]
    cursor: str | None = None


class OpenErasure(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure of which the log and the files are still to be deleted."""

    call: str
    #: Names of files in the folder of recordings.
    files: tuple[str, ...] = ()


class CallNotFound(OffhookError):
    """No call has this id, or an id that begins so."""


class AmbiguousCall(OffhookError):
    """Several calls have an id that begins so."""


class BadCursor(OffhookError):
    """The cursor was not made by this store."""


class CallLives(OffhookError):
    """A call that has not ended cannot be erased."""


class RecordsAway(OffhookError):
    """The records cannot be reached now; whether something was written is not known."""


class OutOfOrder(OffhookError):
    """An entry came before the one in front of it; nothing has changed."""

    def __init__(self, entry: LogEntry, expected: int) -> None:
        super().__init__(f"entry {entry.seq} of call {entry.call} came where {expected} was expected")
        self.entry = entry
        self.expected = expected


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log of a call has been taken into its record."""

    call: Call
    #: Position of the last entry taken; 0 before the first.
    seq: int = 0
    #: When the first entry was taken, seconds since the epoch.
    began_at: float = 0.0


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """What one entry adds to the record of its call."""

    progress: Progress
    entered: StateEntered | None = None
    line: TranscriptLine | None = None


_NONE = Memory()


def advance(progress: Progress, entry: LogEntry, *, over_gap: bool = False) -> Advance | None:
    """Take ``entry``; None when it was taken before.

    An entry the table has no row for (a newer version wrote it) is passed over and changes nothing. ``over_gap`` takes
    an entry though some before it are missing: for one who has seen that the log itself has lost them.

    Raises ``OutOfOrder`` when entries before this one are still to come.
    """
    if entry.seq <= progress.seq:
        return None
    if entry.seq != progress.seq + 1 and not over_gap:
        raise OutOfOrder(entry, progress.seq + 1)
    before = progress.call
    try:
        after, _ = take(before, entry.event, entry.at)
    except NoEdge:
        after = before
    began_at = progress.began_at if progress.seq else entry.at
    return Advance(
        # What agents remember is the business of voice nodes, and is not written into a store.
        progress=Progress(call=msgspec.structs.replace(after, memory=_NONE), seq=entry.seq, began_at=began_at),
        entered=_entered(before, after, entry),
        line=_line(before, after, entry),
    )


def summarize(progress: Progress) -> CallSummary:
    """The record's own fields, without what grows line by line."""
    call = progress.call
    offer = call.offer
    facts: dict[str, Any] = {
        "id": call.id,
        "state": call.state,
        "reason": call.reason,
        "failure": call.failure,
        "created_at": progress.began_at,
        "answered_at": call.answered_at,
        "ended_at": call.ended_at,
        "duration": call.duration,
        "recording": call.recording,
        "quality": call.quality,
    }
    if offer is not None:
        facts |= {name: getattr(offer, name) for name in _FROM_OFFER}
    return CallSummary(**facts)


def fold_record(call_id: str, entries: Iterable[LogEntry]) -> CallRecord:
    """The record of a call from its log; entries that come again are passed over.

    Raises ``OutOfOrder`` when an entry is missing.
    """
    progress = Progress(call=Call(id=call_id))
    states: list[StateEntered] = []
    lines: list[TranscriptLine] = []
    for entry in entries:
        gained = advance(progress, entry)
        if gained is None:
            continue
        progress = gained.progress
        if gained.entered is not None:
            states.append(gained.entered)
        if gained.line is not None:
            lines.append(gained.line)
    return complete(summarize(progress), states, lines)


def complete(summary: CallSummary, states: Iterable[StateEntered], lines: Iterable[TranscriptLine]) -> CallRecord:
    """A summary together with what grew line by line."""
    facts = {name: getattr(summary, name) for name in CallSummary.__struct_fields__}
    return CallRecord(**facts, states=tuple(states), transcript=tuple(lines))


#: Fields of the record that the offer carries under the same name.
_FROM_OFFER = (
    "channel", "agent", "version", "workspace", "mode", "caller", "callee",
    "call_sid", "variant", "variables", "metadata",
)  # fmt: skip


def _entered(before: Call, after: Call, entry: LogEntry) -> StateEntered | None:
    if after.epoch == before.epoch:
        return None
    return StateEntered(state=after.state, at=entry.at, because=type(entry.event).__name__)


def _line(before: Call, after: Call, entry: LogEntry) -> TranscriptLine | None:
    said = entry.event
    if not isinstance(said, Said) or after.lines == before.lines:
        return None
    return TranscriptLine(said.line, said.role, said.text, said.began, said.ended, said.interrupted)
