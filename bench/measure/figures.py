"""How a benchmark prints: a progress line, tables for people, and one JSON line for programs at the end."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Progress:
    """One line on stderr that says what is being measured."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0

    def step(self, what: str) -> None:
        """The next step begins."""
        self._done += 1
        end = "" if sys.stderr.isatty() else "\n"
        print(f"\r\033[K{self._done}/{self._steps} {what}" if not end else what, end=end, file=sys.stderr, flush=True)

    def say(self, what: str) -> None:
        """Something that is known already, on a line that stays."""
        print(f"\r\033[K{what}" if sys.stderr.isatty() else what, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Nothing is measured any more."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What figures of time mean nothing without."""
    load = os.getloadavg()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": round(load[0], 1),
        "python": platform.python_version(),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else ""),
    }


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def summary(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median, least and most of some values; empty for none."""
    if not values:
        return {}
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
        "n": len(values),
    }


def row(what: str, values: Sequence[float], unit: str, digits: int = 2, note: str = "") -> str:
    """A line for people: median, least and most."""
    if not values:
        return f"{what:36} nothing measured"
    found = summary(values, digits)
    least, most = f"{found['least']:.{digits}f}", f"{found['most']:.{digits}f}"
    return f"{what:36} {found['median']:8.{digits}f} {unit:3} ({least} to {most}, n={found['n']}){note}"


def print_result(name: str, before: dict[str, Any], figures: dict[str, Any]) -> None:
    """The machine for people, then everything as one JSON line, last."""
    now = machine()
    before = before | {"load": [before["load"], now["load"]]}
    print(f"\n{before['cores']} cores, load average {before['load'][0]} before and {before['load'][1]} after, "
          f"Python {before['python']}, commit {before['commit']}, {before['date']}")  # fmt: skip
    print(json.dumps({"bench": name, "machine": before, "figures": figures}))
