"""Draw the two tables: ``docs/states/*.md`` for people, ``tables.json`` for browser code.

    python docs/drawings.py           write them
    python docs/drawings.py --check   fail when they are not what the tables say

Nothing else says what a call may do; whoever wants to know reads these, and these are made from the tables.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from offhook.protocol import call, turn
from offhook.protocol.call.table import RETURNS

ROOT = Path(__file__).resolve().parent.parent


class Row(msgspec.Struct, frozen=True, rename={"source": "from"}, omit_defaults=True):
    """One row of a table, in plain words."""

    source: str
    event: str
    to: str
    effects: tuple[str, ...] = ()
    #: Why the call ends, where the row decides it.
    reason: str | None = None
    #: For a way back: only when this state was left.
    left: str | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """One table and all that is said about it."""

    name: str
    initial: str
    states: dict[str, str]
    events: dict[str, str]
    rows: tuple[Row, ...]
    #: Seconds.
    timeouts: dict[str, float]


def call_machine() -> Machine:
    """The table of a call."""
    return Machine(
        name="call",
        initial=call.CallState.CREATED.value,
        states=_explained(call.CallState),
        events=_first_sentences(call.EVENTS),
        rows=tuple(row for (state, event), edge in call.TABLE.items() for row in _call_rows(state, event, edge)),
        timeouts={state.value: seconds for state, seconds in call.TIMEOUTS.items()},
    )


def _call_rows(state: call.CallState, event: type[call.Event], edge: call.Edge) -> Iterable[Row]:
    if edge.to is None:
        for left, back in RETURNS.items():
            assert back.to is not None
            yield Row(state.value, event.__name__, back.to.value, _names(back.effects), left=left.value)
        return
    reason = edge.reason.value if edge.reason else None
    yield Row(state.value, event.__name__, edge.to.value, _names(edge.effects), reason)


def turn_machine() -> Machine:
    """The table of a turn."""
    return Machine(
        name="turn",
        initial=turn.Turn().state.value,
        states=_explained(turn.TurnState),
        events=_first_sentences(turn.EVENTS),
        rows=tuple(
            Row(state.value, event.__name__, edge.to.value, tuple(do.value for do in edge.do))
            for (state, event), edge in turn.TABLE.items()
        ),
        timeouts={state.value: seconds for state, seconds in turn.TIMEOUTS.items()},
    )


def _names(kinds: Sequence[type]) -> tuple[str, ...]:
    return tuple(kind.__name__ for kind in kinds)


def _first_sentences(kinds: Sequence[type]) -> dict[str, str]:
    return {kind.__name__: (kind.__doc__ or "").strip().splitlines()[0] for kind in kinds}


def _explained(states: type[StrEnum]) -> dict[str, str]:
    """Each state with its ``#:`` lines."""
    found = re.findall(r"((?:^ +#:.*\n)+) +(\w+) = ", inspect.getsource(states), re.MULTILINE)
    said = {name: " ".join(line.strip()[2:].strip() for line in lines.splitlines()) for lines, name in found}
    return {state.value: said[state.name] for state in states}


# ── for people ─────────────────────────────────────────────────────────────────────────────────────────────────────


def page(machine: Machine) -> str:
    """The Markdown page of a machine."""
    return "\n".join(
        [
            f"# The states of a {machine.name}",
            "",
            f"Drawn from `protocol/offhook/protocol/{machine.name}/table.py` by `just docs`; do not edit.",
            "",
            "```mermaid",
            *_diagram(machine),
            "```",
            "",
            "Events that keep the state are not drawn; they are in the matrix.",
            "",
            "## Matrix",
            "",
            "The state an event leads to. An empty cell is no edge: the event is refused and nothing changes.",
            "",
            *_matrix(machine),
            "",
            *_states(machine),
            "## Events",
            "",
            *(f"- **{name}**: {sentence}" for name, sentence in machine.events.items()),
            "",
        ]
    )


def _diagram(machine: Machine) -> Iterable[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {machine.initial}"
    ways: dict[tuple[str, str], list[str]] = {}
    for row in machine.rows:
        if row.source != row.to:
            ways.setdefault((row.source, row.to), []).append(row.event)
    for (source, to), events in ways.items():
        yield f"    {source} --> {to}: {', '.join(events)}"
    for state in machine.states:
        if not any(row.source == state for row in machine.rows):
            yield f"    {state} --> [*]"


def _matrix(machine: Machine) -> Iterable[str]:
    living = [state for state in machine.states if any(row.source == state for row in machine.rows)]
    yield f"| event | {' | '.join(living)} |"
    yield f"|---|{'---|' * len(living)}"
    for event in machine.events:
        cells = [" or ".join(r.to for r in machine.rows if (r.source, r.event) == (state, event)) for state in living]
        yield f"| {event} | {' | '.join(cells)} |"


def _states(machine: Machine) -> Iterable[str]:
    for state, sentence in machine.states.items():
        yield f"## {state}"
        yield ""
        yield sentence + _timeout(machine, state)
        yield ""
        rows = [row for row in machine.rows if row.source == state]
        if rows:
            yield "| event | leads to | then, in order |"
            yield "|---|---|---|"
            yield from (f"| {row.event} | {_target(row)} | {', '.join(row.effects)} |" for row in rows)
            yield ""


def _timeout(machine: Machine, state: str) -> str:
    if state in machine.timeouts:
        return f" Times out after {machine.timeouts[state]:g} seconds."
    if any(row.source == state and row.event == "TimedOut" for row in machine.rows):
        return " Times out when the call's own longest duration is over."
    return ""


def _target(row: Row) -> str:
    why = f" ({row.reason})" if row.reason else f" (if {row.left} was left)" if row.left else ""
    return row.to + why


# ── for programs ───────────────────────────────────────────────────────────────────────────────────────────────────


def drawings() -> dict[Path, str]:
    """Every drawn file and its text."""
    machines = [call_machine(), turn_machine()]
    pages = {ROOT / "docs" / "states" / f"{machine.name}.md": page(machine) for machine in machines}
    tables = msgspec.json.format(msgspec.json.encode({machine.name: machine for machine in machines})).decode() + "\n"
    return {**pages, ROOT / "web" / "offhook" / "web" / "sdk" / "tables.json": tables}


def outdated(files: dict[Path, str]) -> list[Path]:
    """The files that are missing or say something else."""
    return [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description="Draw the states of calls and turns from their tables.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a drawing is out of date")
    check = parser.parse_args().check
    files = drawings()
    stale = outdated(files)
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)} is not what the table says: run 'just docs'", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], "utf-8")
            print(f"drew {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
