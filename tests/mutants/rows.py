"""Every small change of the two tables, each put in place for as long as the tests of the tables run.

A pytest plugin (``-p rows``): instead of running the tests once, it runs them once for each mutant, until the first
one fails.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import msgspec
import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from offhook.protocol import call, turn
from offhook.protocol.call.table import RETURNS
from offhook.protocol.turn.table import TurnEdge

#: The tests of the tables; rules before the matrix that knows all rows, walks last: they take longest.
KILLERS = (
    "tests/protocol/test_call_table.py",
    "tests/protocol/test_turn_table.py",
    "tests/protocol/test_call_effects.py",
    "tests/protocol/test_call_walks.py",
)


#: Of each pair one at most is made, so that their order says nothing.
ALTERNATIVES = (
    {call.effects.SendAnswer, call.effects.SendOffer},
    {call.effects.OpenMedia, call.effects.ReopenMedia},
)


class RowMutant(msgspec.Struct, frozen=True):
    """One entry of a table that is something else; ``entry`` None: it is not there."""

    machine: str
    state: str
    what: str
    #: TABLE, RETURNS or TIMEOUTS, the very object that ``step`` reads.
    table: dict[Any, Any]
    key: Any
    entry: Any

    @property
    def name(self) -> str:
        """What is changed, in words."""
        return f"{self.machine}: {self.what}"

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the mutant in place."""
        saved = dict(self.table)
        if self.entry is None:
            del self.table[self.key]
        else:
            self.table[self.key] = self.entry
        try:
            yield
        finally:
            self.table.clear()
            self.table.update(saved)


def row_mutants() -> Iterator[RowMutant]:
    """All of them, table by table and row by row."""
    states, turns = tuple(call.CallState), tuple(turn.TurnState)
    for key, row in call.TABLE.items():
        for what, entry in _changes(row, "effects", states):
            yield RowMutant("call", key[0].value, f"{_pair(key)}: {what}", call.TABLE, key, entry)
        for what, entry in _other_reasons(key, row):
            yield RowMutant("call", key[0].value, f"{_pair(key)}: {what}", call.TABLE, key, entry)
    for state, event in product(states, call.EVENTS):
        if (key := (state, event)) not in call.TABLE:
            yield RowMutant("call", state.value, f"{_pair(key)}: row added", call.TABLE, key, call.Edge(state))
    for left, row in RETURNS.items():
        for what, entry in _changes(row, "effects", states):
            yield RowMutant("call", "hold", f"back to {left.value}: {what}", RETURNS, left, entry)
    for turn_key, turn_row in turn.TABLE.items():
        for what, entry in _changes(turn_row, "do", turns):
            yield RowMutant("turn", turn_key[0].value, f"{_pair(turn_key)}: {what}", turn.TABLE, turn_key, entry)
    for floor, news in product(turns, turn.EVENTS):
        if (turn_key := (floor, news)) not in turn.TABLE:
            yield RowMutant("turn", floor.value, f"{_pair(turn_key)}: row added", turn.TABLE, turn_key, TurnEdge(floor))
    for machine, timeouts in (("call", call.TIMEOUTS), ("turn", turn.TIMEOUTS)):
        for timed, seconds in timeouts.items():
            yield RowMutant(machine, timed.value, f"{timed.value}: timeout dropped", timeouts, timed, None)
            yield RowMutant(machine, timed.value, f"{timed.value}: timeout doubled", timeouts, timed, seconds * 2)


def _pair(key: tuple[Any, Any]) -> str:
    return f"{key[0].value} + {key[1].__name__}"


def _changes(row: Any, field: str, states: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """``row`` removed, led elsewhere, without one of its effects, with two of them swapped."""
    yield "removed", None
    for state in states:
        if state is not row.to:
            yield f"to {state.value}", msgspec.structs.replace(row, to=state)
    effects = getattr(row, field)
    for at, effect in enumerate(effects):
        name = getattr(effect, "__name__", effect)
        yield f"{name} dropped", msgspec.structs.replace(row, **{field: effects[:at] + effects[at + 1 :]})
    for at in range(len(effects) - 1):
        if {effects[at], effects[at + 1]} in ALTERNATIVES:
            continue
        swapped = (*effects[:at], effects[at + 1], effects[at], *effects[at + 2 :])
        yield f"effects {at + 1} and {at + 2} swapped", msgspec.structs.replace(row, **{field: swapped})


def _other_reasons(key: tuple[Any, Any], row: call.Edge) -> Iterator[tuple[str, Any]]:
    if row.reason is not None:
        yield "reason dropped", msgspec.structs.replace(row, reason=None)
        # The agent says itself why it completed; the row's reason only says that there is one.
        if key[1].__name__ != "AgentCompleted":
            other = next(reason for reason in call.EndReason if reason is not row.reason)
            yield f"reason {other.value}", msgspec.structs.replace(row, reason=other)


def pytest_runtestloop(session: pytest.Session) -> bool:
    """See pytest: run the tests once for each mutant, print who caught it, fail when nobody did."""
    # A mutant is caught by any example; nobody reads the smallest.
    everyday = settings.get_profile("everyday")
    settings.register_profile("mutants", everyday, database=None, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutants")
    # Tracebacks that nobody reads cost most of the time.
    session.config.option.tbstyle = "native"
    broken = _first_failure(session.items)
    if broken:
        print(f"fails without any mutant: {broken}")
        session.testsfailed = 1
        return True
    mutants = list(row_mutants())
    by: Counter[str] = Counter()
    for number, mutant in enumerate(mutants, 1):
        # What is said about this state of this machine first: it is likeliest to fail.
        near = sorted(
            session.items, key=lambda item: (mutant.machine not in item.path.name, mutant.state not in item.name)
        )
        with mutant.planted():
            killer = _first_failure(near)
        print(f"{mutant.name:60} {killer or 'SURVIVED'}")
        if number % 50 == 0:
            print(f"{number} of {len(mutants)} rows", file=sys.stderr)
        by[killer.partition("[")[0] if killer else "SURVIVED"] += 1
    print(*(f"{count:6} {test}" for test, count in by.most_common()), sep="\n")
    session.testsfailed = by["SURVIVED"]
    return True


def _first_failure(items: list[pytest.Item]) -> str | None:
    for item in items:
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=None)):
            return item.nodeid.partition("::")[2]
    return None
