"""Do calls notice when strangers flood their ports?

Calls to a real `offhook up` on 127.0.0.1, half of them echoes and half of them with an agent that listens. First they
are left alone, then datagrams of 16 kinds that strangers send come in at a steady rate to all of their ports, while
the callers' own addresses send damaged and replayed packets; then they are left alone again. Times of arrival are the
kernel's, so that a busy caller is not taken for a slow server; what the machine adds shows in the phases without
strangers.

    python bench/hostile.py [--calls 10] [--rate 5000] [--seconds 30]
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
from measure.figures import Progress, machine, print_result
from measure.processes import by_name, processes_below
from measure.strangers import Heard, Phase, hold_calls, send_strangers

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "wire"))
from usage import dropped_by, tasks_of, usage_below
from wire_stage import Stage


def run(stage: Stage, calls: int, rate: int, seconds: float) -> dict[str, Any]:
    """All phases; prints and returns the figures."""
    spawn, progress = multiprocessing.get_context("spawn"), Progress(4)
    ours, theirs = spawn.Pipe()
    callers = spawn.Process(target=hold_calls, args=(stage.signaling, str(stage.folder / "data"), calls, theirs))
    progress.step("calls come up")
    callers.start()
    theirs.close()
    try:
        targets = ours.recv()
        before = _measure(stage, ours, Phase(seconds), progress, "left alone")
        held, tasks, dropped = usage_below(stage.process.pid)["voice"], tasks_of(stage)["voice"], dropped_by(stage)
        result, told = spawn.Pipe(duplex=False)
        flood = spawn.Process(target=send_strangers, args=(targets, rate, seconds + 1, told))
        flood.start()
        told.close()
        during = _measure(stage, ours, Phase(seconds, hostile=True), progress, f"{rate} strange datagrams a second")
        sent, answers = result.recv()
        flood.join(30)
        held_after, tasks_after = usage_below(stage.process.pid)["voice"], tasks_of(stage)["voice"]
        counted = {kind: count - dropped.get(kind, 0) for kind, count in dropped_by(stage).items()}
        after = _measure(stage, ours, Phase(seconds), progress, "left alone again")
        ours.send(Phase())
    finally:
        callers.join(30)
    progress.end()
    phases = {"before": before, "during": during, "after": after}
    for name, (heard, cpu) in phases.items():
        print(f"{name:7} {100 * heard.share:6.1f} % of the packets; pauses: median {heard.median:.1f}, 99.9 % "
              f"{heard.p999:.1f}, longest {heard.longest:.1f} ms, {heard.over_40} over 40 ms; "
              f"voice {100 * cpu:.1f} % of a core")  # fmt: skip
    print(
        f"sent: {sum(sent.values())} of {len(sent)} kinds, and 2 kinds from the callers' addresses; {answers} answered"
    )
    print(f"counted as dropped: {sum(counted.values())}: {counted}")
    print(f"voice: tasks {tasks} before, {tasks_after} after; files {held.files}, {held_after.files}; "
          f"private memory {held.private:.1f}, {held_after.private:.1f} MB")  # fmt: skip
    return {
        "calls": calls,
        "rate": rate,
        "seconds": seconds,
        "phases": {
            name: {**msgspec.to_builtins(heard), "voice_cpu": round(cpu, 3)} for name, (heard, cpu) in phases.items()
        },
        "sent": sent,
        "answers": answers,
        "dropped": counted,
        "voice": {
            "tasks": [tasks, tasks_after],
            "files": [held.files, held_after.files],
            "private_mb": [held.private, held_after.private],
        },
    }


def _measure(stage: Stage, pipe: Connection, phase: Phase, progress: Progress, what: str) -> tuple[Heard, float]:
    """What the callers received, and the CPU seconds of the voice role in a second."""
    progress.step(what)
    first, begun = by_name(processes_below(stage.process.pid))["voice"], time.monotonic()
    pipe.send(phase)
    heard: Heard = pipe.recv()
    cpu = by_name(processes_below(stage.process.pid))["voice"] - first
    return heard, cpu / (time.monotonic() - begun)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=10, help="calls at once")
    parser.add_argument("--rate", type=int, default=5000, help="datagrams of strangers a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each phase")
    options = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            figures = run(stage, options.calls, options.rate, options.seconds)
        finally:
            stage.stop()
    print_result("hostile", before, figures)


if __name__ == "__main__":
    main()
