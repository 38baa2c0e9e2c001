"""Analyses of ended calls in the database: which are to be made, and what came of them. Synchronous."""

from collections.abc import Callable, Collection, Coroutine
from typing import Any

import anyio.from_thread
import msgspec
from sqlalchemy import Connection, Engine, insert, select, update

from offhook.protocol.agent.analysis import AnalysisWanted
from offhook.protocol.analysis import MAX_ATTEMPTS, Findings, wait_after_failure
from offhook.protocol.call import CallState
from offhook.protocol.record import CallRecord
from offhook.protocol.webhooks import Told
from offhook.services.store.cleaning import clean_value
from offhook.services.store.engine import away, transaction
from offhook.services.store.outbox import write_messages
from offhook.services.store.projecting import Listener, Taken
from offhook.services.store.reading import read_records, read_summaries
from offhook.services.store.tables import call_analyses

#: Seconds for which an analysis that is being made belongs to whoever took it.
CLAIM = 180.0
#: What an analysis failed of that was begun as often as it may be, and never came to an end.
NEVER_ENDED = "the process that made it ended each time"
#: What the document of an agent, in a version, asks for; None: nothing.
Lookup = Callable[[str, str], Coroutine[Any, Any, AnalysisWanted | None]]


class DueAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """An analysis to be made now."""

    record: CallRecord
    #: This one included.
    attempts: int


def want_analyses(lookup: Lookup) -> Listener:
    """A listener that notes which ended calls are to be analysed; those in which somebody spoke.

    It is told in a worker thread of the loop that ``lookup`` runs on.
    """

    def listen(connection: Connection, taken: list[Taken]) -> None:
        ended = [one for one in taken if _ended(one)]
        offers = {one.entry.call: (one, one.gained.progress.call.offer) for one in ended}
        versions = {(offer.agent, offer.version) for _, offer in offers.values() if offer}
        asking = {one for one in versions if anyio.from_thread.run(lookup, *one) is not None}
        wanted = {
            call: (one, offer) for call, (one, offer) in offers.items()
            if offer is not None and (offer.agent, offer.version) in asking
        }  # fmt: skip
        if not wanted:
            return
        query = select(call_analyses.c.call).where(call_analyses.c.call.in_(wanted))
        known = set(connection.execute(query).scalars())
        rows = [
            {
                "call": call, "agent": offer.agent, "version": offer.version, "workspace": offer.workspace,
                "state": "pending", "attempts": 0, "next_at": one.entry.at, "fields": {},
            }
            for call, (one, offer) in wanted.items() if call not in known
        ]  # fmt: skip
        if rows:
            connection.execute(insert(call_analyses), rows)

    return listen


def _ended(taken: Taken) -> bool:
    entered = taken.gained.entered
    return entered is not None and entered.state is CallState.ENDED and taken.gained.progress.call.lines > 0


class StoreAnalyses:
    """The ``Analyses`` port. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take_due(self, *, now: float, limit: int) -> list[DueAnalysis]:
        """Analyses to be made now. They are not given out again for ``CLAIM`` seconds.

        Each counts as tried when it is taken, so that one whose process dies each time ends as failed, too.
        """
        query = (
            select(call_analyses.c.call, call_analyses.c.attempts)
            .where(call_analyses.c.state == "pending", call_analyses.c.next_at <= now)
            .order_by(call_analyses.c.next_at)
            .limit(limit)
        )
        with away():
            with self._engine.connect() as connection:
                if connection.execute(query.limit(1)).first() is None:
                    return []
            with transaction(self._engine) as connection:
                rows = {row.call: row.attempts for row in connection.execute(query.with_for_update(skip_locked=True))}
                spent = {call for call, attempts in rows.items() if attempts >= MAX_ATTEMPTS}
                taken = {call: attempts + 1 for call, attempts in rows.items() if call not in spent}
                _set(connection, spent, {"state": "failed", "error": NEVER_ENDED, "done_at": now})
                _set(connection, taken, {"attempts": call_analyses.c.attempts + 1, "next_at": now + CLAIM})
                records = read_records(connection, read_summaries(connection, list(taken)))
        return [DueAnalysis(record=record, attempts=taken[record.id]) for record in records]

    def finish(self, call: str, findings: Findings, *, now: float) -> None:
        """Keep what was found, and tell webhooks in the same transaction."""
        values: dict[str, Any] = clean_value(msgspec.to_builtins(findings))
        self._write(call, {**values, "state": "done", "error": None, "done_at": now}, now=now)

    def fail(self, call: str, error: str, *, attempts: int, now: float, final: bool = False) -> None:
        """Note a failed attempt; it is made again after a while, unless it was the last (or ``final``)."""
        wait = None if final else wait_after_failure(attempts)
        values: dict[str, Any] = {"attempts": attempts, "error": clean_value(error)[:500]}
        if wait is None:
            values |= {"state": "failed", "done_at": now}
        else:
            values |= {"next_at": now + wait}
        self._write(call, values, now=now)

    def _write(self, call: str, values: dict[str, Any], *, now: float) -> None:
        with away(), transaction(self._engine) as connection:
            # An analysis that is done stays as it is; of a call that was erased nothing is written any more.
            here = (call_analyses.c.call == call) & (call_analyses.c.state == "pending")
            if not connection.execute(update(call_analyses).where(here).values(values)).rowcount:
                return
            if values.get("state") == "done":
                for record in read_records(connection, read_summaries(connection, [call])):
                    write_messages(connection, [_told(record, now)])


def _set(connection: Connection, calls: Collection[str], values: dict[str, Any]) -> None:
    connection.execute(update(call_analyses).where(call_analyses.c.call.in_(calls)).values(values))


def _told(record: CallRecord, now: float) -> Told:
    summary = msgspec.to_builtins(record)
    del summary["states"], summary["transcript"]
    return Told(
        event="analysis.done", call=record.id, workspace=record.workspace or "", at=now,
        data={"call": summary, "analysis": summary.pop("analysis")}, mark="analysis",
    )  # fmt: skip
