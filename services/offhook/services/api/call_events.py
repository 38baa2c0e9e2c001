"""``/v1/calls/{call_id}/events``: what happened in a call, as its log has it (R2)."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec

from offhook.actors.ports import Stored
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import BadMessage, decode_entry
from offhook.protocol.record import BadCursor
from offhook.services.api.access import Threads
from offhook.services.api.calls import CallHistory
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Nothing, Route

#: Most events on one page.
MAX_PAGE = 1000
#: Fields that are not shown: a session description holds addresses and the password of the media.
LEFT_OUT = frozenset({"sdp"})

#: All messages of one log, oldest first. Raises ``BusAway``.
ReadLog = Callable[[str], Awaitable[Sequence[Stored]]]


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100
    #: Where the page before ended.
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class LoggedEvent(msgspec.Struct, frozen=True):
    """One entry of a call's log."""

    #: Position in the log, from 1.
    seq: int
    #: When it was written, seconds since the epoch.
    at: float
    #: What happened, such as ``Said``.
    event: str
    #: What is known of it; of a session description only that there was one.
    data: dict[str, Any]
    #: Who reported it; empty: whoever owned the call.
    source: str


class EventPage(msgspec.Struct, frozen=True):
    """Some events, oldest first, and the cursor to go on with (null: these were the last)."""

    events: tuple[LoggedEvent, ...]
    cursor: str | None


class CallEvents:
    """The logs of calls."""

    def __init__(self, history: CallHistory, read_log: ReadLog, in_thread: Threads) -> None:
        self._history = history
        self._read_log = read_log
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="GET", path="/v1/calls/{call_id}/events", handle=self.events, summary="List a call's events",
                scope="calls:read", query=EventQuery, gives=EventPage,
            ),
        ]  # fmt: skip

    async def events(self, ask: Ask[EventQuery, Nothing]) -> EventPage:
        """What happened in a call, oldest first; of one that goes on, what has happened so far.

        Logs are kept for as long as the operator says, and may be gone before the record is: then there are none.
        """
        call, query = ask.path["call_id"], ask.query
        after = 0 if query.cursor is None else _read_cursor(query.cursor)
        record = await self._in_thread(partial(self._history.call, call, exact=True))
        if record.workspace != ask.workspace:
            # Word for word what an id that does not exist gets.
            raise Problem(404, "call_not_found", "There is no call with this id.")
        log = subjects.log(call)
        found = [entry for entry in map(_entry, await self._read_log(log)) if entry is not None and entry.seq > after]
        page = tuple(map(_shown, found[: query.limit]))
        return EventPage(page, str(page[-1].seq) if len(found) > query.limit else None)


def _entry(stored: Stored) -> LogEntry | None:
    try:
        return decode_entry(stored.subject, stored.data)
    except BadMessage:
        # The records passed over it, too; `offhook dead` shows it.
        return None


def _shown(entry: LogEntry) -> LoggedEvent:
    data = msgspec.to_builtins(entry.event)
    event = data.pop("type")
    data |= {name: "(left out)" for name in data.keys() & LEFT_OUT if data[name]}
    return LoggedEvent(entry.seq, entry.at, event, data, entry.source)


def _read_cursor(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise BadCursor("This cursor was not made here. Leave it out to begin with the first event.")
    return int(cursor)
