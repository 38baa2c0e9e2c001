"""What the product holds while calls come and go: memory by the hour, and what is left when they are over."""

import asyncio
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from measure.crowd import CrowdReport, run_crowd
from measure.figures import row, summary

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests" / "wire"))
from usage import Usage, tasks_of, usage_below
from wire_stage import Stage

#: What was held, and when (seconds from the start).
Samples = list[tuple[float, dict[str, Usage]]]

#: Seconds between two looks at the processes.
EVERY = 30.0
#: Seconds of which the least memory is taken for the floor: what comes and goes with calls is not in it.
FLOOR = 300.0
#: Seconds until as many call as are to, and what they need is there: looks before that count for nothing.
RAMP = 120.0
#: Seconds until calls of callers who vanished are given up, and idle threads and sockets are gone.
SETTLE = 50.0


def soak_for(stage: Stage, seconds: float, calls: int, seed: int) -> dict[str, Any]:
    """Let calls come and go; prints and returns the figures.

    What calls fill and keep filled (heaps, caches) takes up to half an hour, so the first half is warm-up. Before,
    between and after the halves nobody calls, and what is held then tells growth from what comes and goes.
    """
    _run(stage, 15.0, calls, seed)
    before, tasks_before = _at_rest(stage), tasks_of(stage)
    _, warming = _run(stage, seconds / 2, calls, seed + 1)
    between = _at_rest(stage)
    looks, report = _run(stage, seconds / 2, calls, seed + 2)
    samples = [look for look in looks if look[0] >= RAMP]
    after, tasks_after = _at_rest(stage), tasks_of(stage)
    report = warming.plus(report)
    owned = len(asyncio.run(stage.keys("owner.")))
    slopes = {name: slope(samples, name) for name in sorted(before.keys() & after.keys())}
    floors = {name: slope(floor(samples, name), name) for name in slopes}
    rests = {name: [round(held[name].private, 2) for held in (before, between, after)] for name in slopes}
    _show(before, after, rests, slopes, floors, seconds / 2)
    for role, count in tasks_after.items():
        print(f"tasks of {role}: {tasks_before[role]} before, {count} after")
    print(f"leases of calls left: {owned}")
    print(f"calls: {dict(sorted(report.calls.items()))}; {100 * report.arrived:.1f} % of the packets came")
    print(row("offer to the encrypted path", report.setup, "s", 3))
    for sentence in report.trouble:
        print(f"  NOT AS IT SHOULD BE: {sentence}")
    return {
        "minutes": round(seconds / 60, 1),
        "at_once": calls,
        "calls": report.calls,
        "arrived": report.arrived,
        "setup_s": summary(report.setup, 3),
        "slope_mb_per_hour": slopes,
        "floor_mb_per_hour": floors,
        "at_rest_mb": rests,
        "owner_keys_left": owned,
        "tasks": {"before": tasks_before, "after": tasks_after},
        "usage": {"before": msgspec.to_builtins(before), "after": msgspec.to_builtins(after)},
        "private_mb": {name: [round(at[1][name].private, 1) for at in _few(samples, name)] for name in slopes},
    }


def _at_rest(stage: Stage) -> dict[str, Usage]:
    """What the product holds when nobody has called for a while."""
    time.sleep(SETTLE)
    return usage_below(stage.process.pid)


def _run(stage: Stage, seconds: float, calls: int, seed: int) -> tuple[Samples, CrowdReport]:
    """Calls for ``seconds``; what the product held meanwhile."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    arguments = (stage.signaling, str(stage.folder / "data"), calls, seconds, seed, theirs)
    crowd = spawn.Process(target=run_crowd, args=arguments)
    crowd.start()
    theirs.close()
    samples: Samples = []
    begun = time.monotonic()
    try:
        while not ours.poll(EVERY):
            at = time.monotonic() - begun
            if at < seconds:
                samples.append((at, usage_below(stage.process.pid)))
                each = ", ".join(f"{name} {used.private:.1f}" for name, used in sorted(samples[-1][1].items()))
                print(f"{at / 60:.1f} min, private MB: {each}", file=sys.stderr, flush=True)
        report = msgspec.msgpack.decode(ours.recv_bytes(), type=CrowdReport)
    finally:
        crowd.join(120)
    return samples, report


def slope(samples: Samples, name: str) -> float:
    """MB of private memory per hour by which the processes of a name grow: the straight line that fits best."""
    points = [(at / 3600, used[name].private) for at, used in samples if name in used]
    if len(points) < 3:
        return 0.0
    hours, megabytes = np.array(points).T
    return round(float(np.polyfit(hours, megabytes, 1)[0]), 2)


def floor(samples: Samples, name: str) -> Samples:
    """Of each ``FLOOR`` seconds the sample in which the processes of a name held least."""
    least: dict[int, tuple[float, dict[str, Usage]]] = {}
    for sample in samples:
        window = int(sample[0] // FLOOR)
        if name in sample[1] and (window not in least or sample[1][name].private < least[window][1][name].private):
            least[window] = sample
    return list(least.values())


def _few(samples: Samples, name: str) -> Samples:
    """At most a dozen of them, evenly spread."""
    found = [sample for sample in samples if name in sample[1]]
    return found[:: max(1, len(found) // 12)]


def _show(
    before: dict[str, Usage],
    after: dict[str, Usage],
    rests: dict[str, list[float]],
    slopes: dict[str, float],
    floors: dict[str, float],
    half: float,
) -> None:
    print(f"{'':24} {'before, after':^43} {'MB private at rest':^24} {'MB an hour, second half':^26}")
    print(f"{'':24} {'processes':>10} {'threads':>10} {'files':>10} {'sockets':>10} "
          f"{'before':>8} {'half':>7} {'end':>7} {'at rest':>8} {'slope':>8} {'floor':>8}")  # fmt: skip
    for name, (first, middle, last) in rests.items():
        one, two = before[name], after[name]
        print(f"{name:24} {one.processes:>6}, {two.processes:<2} {one.threads:>6}, {two.threads:<2} "
              f"{one.files:>6}, {two.files:<2} {one.sockets:>6}, {two.sockets:<2} {first:>8.1f} {middle:>7.1f} "
              f"{last:>7.1f} {(last - middle) * 3600 / half:>8.2f} {slopes[name]:>8.2f} "
              f"{floors[name]:>8.2f}")  # fmt: skip
