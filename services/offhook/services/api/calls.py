"""``/v1/calls``: the history of calls (R2)."""

from functools import partial
from typing import Annotated, Any, Protocol

import msgspec

from offhook.protocol.call import CallState, EndReason
from offhook.protocol.record import CallFilter, CallPage, CallRecord
from offhook.services.api.access import Threads
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Metadata, Nothing, Route

#: Most calls on one page of the history.
MAX_PAGE = 200
#: Most entries of metadata that a query names.
MAX_FACTS = 8


class CallHistory(Protocol):
    """Where calls are read. Synchronous; used from several worker threads. Both raise ``RecordsAway``."""

    def calls(self, wanted: CallFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> CallPage:
        """One page of the calls that pass the filter, newest first. Raises ``BadCursor``."""

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        """One call. Raises ``CallNotFound``."""


class CallFilters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls."""

    state: CallState | None = None
    agent: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    reason: EndReason | None = None
    channel: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    #: Calls created at or after ``since`` and before ``until``, seconds since the epoch.
    since: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    until: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    #: Ended calls in whose transcript words begin with each of these.
    text: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    #: Calls whose metadata has each of these names with this value: ``metadata[plan]=gold``.
    metadata: Annotated[Metadata, msgspec.Meta(max_length=MAX_FACTS)] | None = None


#: Fields of a query that say which calls.
FILTERS = CallFilters.__struct_fields__


class CallQuery(CallFilters, frozen=True, forbid_unknown_fields=True):
    """Which calls to list, and how many."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50
    #: Where the page before ended.
    cursor: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class Calls:
    """The history of calls."""

    def __init__(self, history: CallHistory, in_thread: Threads) -> None:
        self._history = history
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="GET", path="/v1/calls", handle=self.list, summary="List calls",
                scope="calls:read", query=CallQuery, gives=CallPage,
            ),
            Route(
                method="GET", path="/v1/calls/{call_id}", handle=self.show, summary="Read a call",
                scope="calls:read", gives=CallRecord,
            ),
        ]  # fmt: skip

    async def list(self, ask: Ask[CallQuery, Nothing]) -> CallPage:
        """Calls, newest first. ``cursor`` of the answer leads to the next page; null: these were the last."""
        query = ask.query
        facts: dict[str, Any] = {name: getattr(query, name) for name in FILTERS}
        wanted = CallFilter(workspace=ask.workspace, **facts)
        return await self._in_thread(partial(self._history.calls, wanted, limit=query.limit, cursor=query.cursor))

    async def show(self, ask: Ask[Nothing, Nothing]) -> CallRecord:
        """One call with its states and transcript."""
        record = await self._in_thread(partial(self._history.call, ask.path["call_id"], exact=True))
        if record.workspace != ask.workspace:
            # Word for word what an id that does not exist gets.
            raise Problem(404, "call_not_found", "There is no call with this id.")
        return record
