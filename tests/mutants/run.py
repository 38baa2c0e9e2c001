"""Show that the tests find what they are for.

    python tests/mutants/run.py               all of it; fails when a mutant survives
    python tests/mutants/run.py --rows        only the changes of the tables
    python tests/mutants/run.py session-      only the faults whose names begin so
    python tests/mutants/run.py NAME --plant FOLDER     leave a copy with this fault, to look at

Every change of a row of the two tables is put in place, and the tests of the tables are run. Every fault is planted in
a copy of the tree; the tests of the actors and of whole simulated calls are run on it, then seeds of ``offhook
simulate``, until one fails. Nothing is changed in this tree.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec
from faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]
#: What a copy holds, and what of it is taken in place of what is installed.
PARTS = ("actors", "protocol", "services", "docs", "tests")
PLANTED = ("actors", "protocol")
ROW_TESTS = (
    "tests/protocol/test_call_table.py",
    "tests/protocol/test_turn_table.py",
    "tests/protocol/test_call_effects.py",
    "tests/protocol/test_call_walks.py",
)
#: In order of cost; pytest keeps the order.
FAULT_TESTS = ("tests/sim/test_whole_call.py", "tests/actors", "tests/sim")
#: The first two start processes of their own, and those run what is installed; the third fails whatever is changed.
ELSEWHERE = ("tests/sim/test_examples.py", "tests/sim/test_pytest_plugin.py", "tests/sim/test_timelines.py")
#: Seconds after which a run that does not end counts as one that fails.
PATIENCE = 900.0

#: Prints the number and invariant of each seed that breaks; stops at the first of those that should not.
SEEDS = """
import sys
from offhook.simulation.hunt import run_seed
from offhook.actors import session
assert session.__file__.startswith(sys.argv[1]), session.__file__
known = set(map(int, sys.argv[4:]))
for seed in range(int(sys.argv[2])):
    if seed not in known:
        violation = run_seed(seed).violation
        if violation is not None:
            print(seed, violation.invariant, flush=True)
            if sys.argv[3] == "first":
                break
"""


class Caught(msgspec.Struct, frozen=True):
    """What became of a fault; ``by`` is empty when it survived."""

    name: str
    by: str
    seconds: float


class Known(msgspec.Struct, frozen=True):
    """What fails without any fault, and therefore catches none."""

    tests: tuple[str, ...]
    seeds: tuple[str, ...]


def main() -> int:
    """Run what was asked for; the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", help="beginnings of names of faults")
    arguments.add_argument("--rows", action="store_true", help="only the changes of the tables")
    arguments.add_argument("--seeds", type=int, default=60, help="how many seeds to try (60)")
    arguments.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    arguments.add_argument("--plant", type=Path, metavar="FOLDER", help="only leave the one fault that is named there")
    options = arguments.parse_args()
    wanted = [fault for fault in FAULTS if fault.name.startswith(tuple(options.names) or "")]
    if options.plant:
        wanted[0].plant(copy_tree(options.plant))
        return 0
    rows_hold = True if options.names else change_rows()
    if options.rows:
        return 0 if rows_hold else 1
    survivors = plant_faults(wanted, options.seeds, options.jobs)
    return 0 if rows_hold and not survivors else 1


def change_rows() -> bool:
    """Run the tests of the tables on every change of a row."""
    command = [sys.executable, "-m", "pytest", "-s", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:terminal"]
    # Its own process: pytest has to be the first that imports what it checks.
    path = str(ROOT / "tests/mutants")
    done = subprocess.run(
        [*command, "-p", "rows", *ROW_TESTS], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    return done.returncode == 0


def plant_faults(faults: Sequence[Fault], seeds: int, jobs: int) -> list[Caught]:
    """Plant each fault and print who caught it, in the order of their ends; returns the survivors."""
    with tempfile.TemporaryDirectory(prefix="offhook-mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        clean = copy_tree(Path(folder) / "clean")
        known = find_known(clean, seeds)
        running = [pool.submit(catch, fault, Path(folder) / fault.name, clean, known, seeds) for fault in faults]
        survivors = []
        for number, future in enumerate(as_completed(running), 1):
            caught = future.result()
            print(f"{caught.name:50} {caught.by or 'SURVIVED':90} {caught.seconds:6.1f} s", flush=True)
            print(f"{number} of {len(faults)} faults", file=sys.stderr)
            if not caught.by:
                survivors.append(caught)
    print(f"{len(faults) - len(survivors)} of {len(faults)} faults caught")
    return survivors


def copy_tree(target: Path) -> Path:
    """A copy of the parts in question."""
    for part in PARTS:
        shutil.copytree(ROOT / part, target / part, ignore=shutil.ignore_patterns("__pycache__", "*.db", ".hypothesis"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def find_known(clean: Path, seeds: int) -> Known:
    """What fails on the tree as it is: printed, and left out below."""
    tests = tuple(re.findall(r"^(?:FAILED|ERROR) (\S+)", run_tests(clean), re.MULTILINE))
    broken = run_seeds(clean, seeds, "all")
    for name in (*tests, *broken):
        print(f"fails without any fault: {name}", flush=True)
    return Known(tests, tuple(line.split()[0] for line in broken))


def catch(fault: Fault, root: Path, clean: Path, known: Known, seeds: int) -> Caught:
    """Plant ``fault`` in a copy and run tests, then seeds, until one fails."""
    began = time.monotonic()
    shutil.copytree(clean, root)
    fault.plant(root)
    out = run_tests(root, "-x", *(f"--{'deselect' if '::' in test else 'ignore'}={test}" for test in known.tests))
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", out, re.MULTILINE)
    by = failed[1] if failed else "tests that do not end" if out == HANGS else ""
    if not by:
        broken = run_seeds(root, seeds, "first", *known.seeds)
        by = f"seed {broken[0]}" if broken else ""
    shutil.rmtree(root)
    return Caught(fault.name, by, time.monotonic() - began)


HANGS = "does not end"


def run_tests(root: Path, *options: str) -> str:
    """What pytest printed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=line", *options, *FAULT_TESTS]
    return _run(root, [*command, *(f"--ignore={file}" for file in ELSEWHERE)])


def run_seeds(root: Path, seeds: int, until: str, *known: str) -> list[str]:
    """Number and invariant of each seed that broke."""
    out = _run(root, [sys.executable, "-c", SEEDS, str(root), str(seeds), until, *known])
    return [HANGS] if out == HANGS else out.splitlines()


def _run(root: Path, command: list[str]) -> str:
    # Before the installed packages: what is in the copy is taken from there.
    path = os.pathsep.join(str(root / part) for part in PLANTED)
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, cwd=root, env=env, check=False, timeout=PATIENCE, stdout=subprocess.PIPE, text=True
        ).stdout
    except subprocess.TimeoutExpired:
        return HANGS


if __name__ == "__main__":
    sys.exit(main())
