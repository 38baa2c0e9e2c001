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
#: What calls fill and keep filled (heaps, caches) takes up to half an hour: this part of the time, and at most so many
#: seconds, count as warm-up.
WARM_UP, LONGEST_WARM_UP = 0.5, 1800.0
#: Seconds of which the least memory is taken for the floor: what comes and goes with calls is not in it.
FLOOR = 300.0
#: Seconds until calls of callers who vanished are given up, and idle threads and sockets are gone.
SETTLE = 50.0


def soak_for(stage: Stage, seconds: float, calls: int, seed: int) -> dict[str, Any]:
    """Let calls come and go; prints and returns the figures."""
    _run(stage, 15.0, calls, seed)
    time.sleep(SETTLE)
    before, tasks_before = usage_below(stage.process.pid), tasks_of(stage)
    samples, report = _run(stage, seconds, calls, seed + 1)
    time.sleep(SETTLE)
    after, tasks_after = usage_below(stage.process.pid), tasks_of(stage)
    owned = len(asyncio.run(stage.keys("owner.")))
    warm = [sample for sample in samples if sample[0] >= min(WARM_UP * seconds, LONGEST_WARM_UP)]
    slopes = {name: slope(warm, name) for name in sorted(before.keys() & after.keys())}
    floors = {name: slope(floor(warm, name), name) for name in slopes}
    _show(before, after, slopes, floors, samples)
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
        "owner_keys_left": owned,
        "tasks": {"before": tasks_before, "after": tasks_after},
        "usage": {"before": msgspec.to_builtins(before), "after": msgspec.to_builtins(after)},
        "private_mb": {name: [round(at[1][name].private, 1) for at in _few(samples, name)] for name in slopes},
    }


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
    slopes: dict[str, float],
    floors: dict[str, float],
    samples: Samples,
) -> None:
    print(f"{'before, after':24} {'processes':>10} {'threads':>10} {'files':>10} {'sockets':>10} "
          f"{'MB private':>16} {'most MB':>8} {'MB/hour':>8} {'of floor':>9}")  # fmt: skip
    for name, rise in slopes.items():
        one, two = before[name], after[name]
        most = max((used[name].private for _, used in samples if name in used), default=0.0)
        print(f"{name:24} {one.processes:>6}, {two.processes:<2} {one.threads:>6}, {two.threads:<2} "
              f"{one.files:>6}, {two.files:<2} {one.sockets:>6}, {two.sockets:<2} "
              f"{one.private:>8.1f}, {two.private:<6.1f} {most:>8.1f} {rise:>8.2f} {floors[name]:>9.2f}")  # fmt: skip
