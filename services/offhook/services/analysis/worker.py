"""The worker: makes the analyses that are due, until it is cancelled. It holds up nobody who writes records."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import anyio

from offhook.protocol.agent.analysis import AnalysisWanted, ByRules
from offhook.protocol.analysis import BadAnswer, Findings
from offhook.protocol.record import CallRecord, RecordsAway
from offhook.services.analysis.asking import Ask, ModelFailed, ask_model
from offhook.services.analysis.matching import RulesFailed, find_by_rules

log = logging.getLogger("offhook.analysis")

#: Seconds between two looks for what is due, and analyses that are made at one time.
LOOK = 1.0
AT_ONCE = 4
#: Processes for rules, at most.
PROCESSES = 2

#: What the document of an agent, in a version, asks for; None: nothing (any more).
Lookup = Callable[[str, str], Awaitable[AnalysisWanted | None]]
Find = Callable[[AnalysisWanted, CallRecord], Awaitable[Findings]]


class Due(Protocol):
    """An analysis to be made now."""

    @property
    def record(self) -> CallRecord:
        """The call."""

    @property
    def attempts(self) -> int:
        """How often it was tried, this time included."""


class Analyses(Protocol):
    """Which analyses are to be made. Synchronous, used from worker threads; every method raises ``RecordsAway``."""

    def take_due(self, *, now: float, limit: int) -> Sequence[Due]:
        """Analyses to be made now; they are not given out again for a while, and count as tried."""

    def finish(self, call: str, findings: Findings, *, now: float) -> None:
        """Keep what was found."""

    def fail(self, call: str, error: str, *, attempts: int, now: float, final: bool = False) -> None:
        """Note a failed attempt."""


async def run_analyses(analyses: Analyses, lookup: Lookup, ask: Ask) -> None:
    """Make analyses as they are due; never returns. Several processes may do so on one store."""
    find = partial(_find, ask=ask, processes=anyio.CapacityLimiter(PROCESSES))
    while True:
        try:
            due = await anyio.to_thread.run_sync(partial(analyses.take_due, now=time.time(), limit=AT_ONCE))
            async with anyio.create_task_group() as tasks:
                for one in due:
                    tasks.start_soon(_make, analyses, lookup, find, one)
            if due:
                continue
        except* RecordsAway as group:
            # What was found is lost and found again.
            log.warning("store is away", extra={"why": str(group.exceptions[0])})
        await anyio.sleep(LOOK)


async def _make(analyses: Analyses, lookup: Lookup, find: Find, due: Due) -> None:
    record = due.record
    wanted = await lookup(record.agent or "", record.version or "")
    work: Callable[[], None]
    if wanted is None:
        error = "the agent's document asks for no analysis any more"
        work = partial(analyses.fail, record.id, error, attempts=due.attempts, now=time.time(), final=True)
    else:
        try:
            findings = await find(wanted, record)
        except (BadAnswer, ModelFailed, RulesFailed, TimeoutError) as error:
            why = str(error) or "it took too long"
            log.info("analysis failed", extra={"call": record.id, "why": why})
            work = partial(analyses.fail, record.id, why, attempts=due.attempts, now=time.time())
        else:
            work = partial(analyses.finish, record.id, findings, now=time.time())
    await anyio.to_thread.run_sync(work)


async def _find(wanted: AnalysisWanted, record: CallRecord, *, ask: Ask, processes: anyio.CapacityLimiter) -> Findings:
    if isinstance(wanted, ByRules):
        return await find_by_rules(wanted, record, processes)
    return await ask_model(wanted, record, ask)
