"""How fast whole clusters are simulated: seeds a second of one core, and the CPU time of an hour of calls.

just bench simulation [--seeds N] [--times N] [--against COMMIT]

A seed is a world of 2 gateways, 2 voice nodes, 2 records nodes and 10 calls, with all troubles. An hour of calls is
3,600 seconds that callers spend in answered calls, 20 callers to a world, without troubles. Both are counted in CPU
time of one process; beside them stands what a million steps of plain Python cost, to compare machines by. With
--against an older commit is measured by turns with this tree, so that a slow moment of the machine is shared.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure.figures import Progress, machine, print_result, row, summary

ROOT = Path(__file__).parent.parent
#: What is measured: name, unit, digits, and what was aimed at.
ROWS = {
    "worlds with troubles": ("/s", 1, " of one core; aim 10"),
    "an hour of calls": ("s", 2, " of one core; aim 2"),
    "a million steps of plain Python": ("s", 3, ""),
}


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30, help="worlds in each repetition (30)")
    parser.add_argument("--times", type=int, default=3, help="repetitions (3)")
    parser.add_argument("--against", metavar="COMMIT", help="also measure this commit, by turns")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.seeds)))
        return
    before = machine()
    with _trees(options.against) as trees:
        progress = Progress(options.times * len(trees))
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
        for time_ in range(1, options.times + 1):
            for name, tree in trees.items():
                progress.step(f"{name}, {time_} of {options.times}")
                found[name].append(_in_tree(tree, options.seeds))
        progress.end()
    figures: dict[str, Any] = {}
    for name, times in found.items():
        print(name)
        for what, (unit, digits, aim) in ROWS.items():
            print(f"  {row(what, [each[what] for each in times], unit, digits, aim)}")
        broken = sorted({seed for each in times for seed in each["broken"]})
        print(f"  broken seeds: {broken or 'none'}")
        figures[name] = {what: summary([each[what] for each in times], 4) for what in ROWS} | {"broken": broken}
    print_result("simulation", before, figures)


@contextmanager
def _trees(against: str | None) -> Iterator[dict[str, Path]]:
    """This tree and the one to compare it with, by name."""
    if against is None:
        yield {"this tree": ROOT}
        return
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(other), against], check=True)
        try:
            yield {f"commit {against}": other, "this tree": ROOT}
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)


def _in_tree(tree: Path, seeds: int) -> dict[str, Any]:
    """One repetition with the code of a tree, and with the packages installed here."""
    code = os.pathsep.join(str(tree / part) for part in ("protocol", "actors"))
    done = subprocess.run(
        [sys.executable, __file__, "--once", "--seeds", str(seeds)],
        env={**os.environ, "PYTHONPATH": code}, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def once(seeds: int) -> dict[str, Any]:
    """All figures, once."""
    from offhook.simulation import hunt

    hunt.run_seed(0)
    # As the workers of `offhook simulate` begin; older commits have another way.
    getattr(hunt, "settle", gc.freeze)()
    began = time.process_time()
    broken = [seed for seed in range(1, seeds + 1) if hunt.run_seed(seed).violation is not None]
    worlds = seeds / (time.process_time() - began)
    began, talked, seed = time.process_time(), 0.0, 0
    while talked < 3600:
        seed += 1
        talked += hunt.run_seed(seed, calls=20, faults=False).talked
    hour = (time.process_time() - began) / talked * 3600
    began = time.process_time()
    for _ in iter(range(1_000_000)):
        pass
    return dict(zip(ROWS, (worlds, hour, time.process_time() - began), strict=True)) | {"broken": broken}


if __name__ == "__main__":
    main()
