"""Worlds with everything that can go wrong, one for each seed (``just hunt`` runs many more)."""

import hashlib
import os
import subprocess
import sys

import pytest

from offhook.simulation.hunt import run_seed

SHOW = "from offhook.simulation.hunt import run_seed; print(run_seed(7, calls=4).timeline.text())"


@pytest.mark.parametrize("seed", range(1_000, 1_020))
def test_every_invariant_holds(seed: int) -> None:
    outcome = run_seed(seed)
    broken = outcome.violation
    assert broken is None, f"offhook simulate --seed {seed}: {broken}\n{outcome.timeline.text(last=40)}"


def test_a_calm_world_too() -> None:
    outcome = run_seed(1, faults=False)
    assert outcome.violation is None
    assert outcome.talked > 30


def test_the_same_seed_gives_the_same_timeline_in_another_process() -> None:
    here = run_seed(7, calls=4).timeline.text() + "\n"
    for salt in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        there = subprocess.run(
            [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
        )
        assert hashlib.sha256(there.stdout.encode()).hexdigest() == hashlib.sha256(here.encode()).hexdigest()
