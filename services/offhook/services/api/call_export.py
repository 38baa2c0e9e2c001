"""``/v1/calls/export`` and erasing: all calls at once, and one for good (R2)."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Protocol

from litestar.response import Stream

from offhook.protocol.export import MEDIA_TYPES, ExportFormat, export_lines
from offhook.protocol.record import CallFilter, CallRecord, Erased
from offhook.services.api.access import Threads
from offhook.services.api.calls import FILTERS, CallFilters
from offhook.services.api.problems import Problem
from offhook.services.api.route import Ask, Nothing, Route


class CallArchive(Protocol):
    """Where whole records are read and erased. Synchronous; from several worker threads. All raise ``RecordsAway``."""

    def export_page(self, wanted: CallFilter, *, cursor: str | None = None) -> tuple[list[CallRecord], str | None]:
        """Some of the records that pass the filter, newest first, and the cursor to go on with."""

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        """One call. Raises ``CallNotFound``."""

    def erase(self, call: str, *, now: float) -> Erased | None:
        """Delete a record. Raises ``CallLives``."""

    def erasure(self, call: str, *, workspace: str | None = None) -> Erased | None:
        """The report of an erasure."""


class Now(Protocol):
    """The wall clock."""

    def __call__(self) -> float:
        """Seconds since the epoch."""


class ExportQuery(CallFilters, frozen=True, forbid_unknown_fields=True):
    """Which calls to export, and how they are written."""

    format: ExportFormat = "jsonl"


class CallExport:
    """Calls as a file, and their end."""

    def __init__(self, archive: CallArchive, now: Now, in_thread: Threads) -> None:
        self._archive = archive
        self._now = now
        self._in_thread = in_thread

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="GET", path="/v1/calls/export", handle=self.export, summary="Export calls",
                scope="calls:read", query=ExportQuery, streams=tuple(MEDIA_TYPES.values()),
            ),
            Route(
                method="DELETE", path="/v1/calls/{call_id}", handle=self.erase, summary="Erase a call",
                scope="calls:write", gives=Erased, status=202,
            ),
            Route(
                method="GET", path="/v1/erasures/{call_id}", handle=self.show_erasure, summary="Read an erase report",
                scope="calls:read", gives=Erased,
            ),
        ]  # fmt: skip

    async def export(self, ask: Ask[ExportQuery, Nothing]) -> Stream:
        """All calls, newest first, as JSON lines or CSV (a text that begins like a formula gets an apostrophe)."""
        query = ask.query
        facts: dict[str, Any] = {name: getattr(query, name) for name in FILTERS}
        wanted = CallFilter(workspace=ask.workspace, **facts)
        # The first page is read before the answer begins: what is wrong is said with a status of its own.
        first = await self._in_thread(partial(self._archive.export_page, wanted))
        return Stream(self._lines(wanted, first, query.format), media_type=MEDIA_TYPES[query.format])

    async def _lines(
        self, wanted: CallFilter, page: tuple[list[CallRecord], str | None], form: ExportFormat
    ) -> AsyncIterator[bytes]:
        names_left = True
        while True:
            records, cursor = page
            lines = list(export_lines(records, form))
            yield b"".join(lines if names_left or form == "jsonl" else lines[1:])
            names_left = False
            if cursor is None:
                return
            page = await self._in_thread(partial(self._archive.export_page, wanted, cursor=cursor))

    async def erase(self, ask: Ask[Nothing, Nothing]) -> Erased:
        """The record is gone with the answer; log and recording within a minute (``done_at`` of the report)."""
        call = ask.path["call_id"]
        record = await self._in_thread(partial(self._archive.call, call, exact=True))
        if record.workspace != ask.workspace:
            raise _not_found()
        erased = await self._in_thread(partial(self._archive.erase, call, now=self._now()), abandon=False)
        if erased is None:
            raise _not_found()
        return erased

    async def show_erasure(self, ask: Ask[Nothing, Nothing]) -> Erased:
        """What was deleted of a call, kind by kind; ``done_at`` is null until its log and its files are gone, too."""
        read = partial(self._archive.erasure, ask.path["call_id"], workspace=ask.workspace)
        report = await self._in_thread(read)
        if report is None:
            raise _not_found()
        return report


def _not_found() -> Problem:
    return Problem(404, "call_not_found", "There is no call with this id.")
