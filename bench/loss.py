"""What is heard over a bad network, at both ears of a call whose audio counts its frames.

just bench loss                    the whole table, three runs of each row
just bench loss --seconds 5 --runs 1
just bench loss --only 5 --tries 8

Two network namespaces with a forwarder between (root; else a relay over loopback, and it says so) lose, delay, double
and reorder packets from a seed, in both directions alike. The agent's ear is what the media hands to an agent; the
caller's ear is a jitter buffer for a person (``EvenHearing``), as a browser has one of its own. The caller sends
redundancy, as browsers do that are asked for it. Delay is from the moment when a frame is handed to its encoder to the
moment when it is heard, against the row without trouble.

A shared machine stands still now and then, and a stall of ours cannot be told from one of its. So each core is watched,
a run during which one of them stood still for more than 40 ms is made again, a few times, and of those that do not come
to an end the stillest counts. How long the machine stood still stands in the table.
"""

import argparse
import statistics
import sys
from pathlib import Path

import msgspec
from measure.figures import Progress, machine, print_result
from measure.stillness import Stillness

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "wire"))
from counted_audio import Heard
from counting_call import Outcome, measure
from impairment import Impairment

QUIET = "no trouble"
ROWS = {
    QUIET: Impairment(),
    "1 % lost": Impairment(loss=0.01),
    "5 % lost": Impairment(loss=0.05),
    "20 % lost": Impairment(loss=0.2),
    "40 ms jitter": Impairment(jitter=0.04),
    "40 ms jitter, overtaking": Impairment(jitter=0.04, reorder=True),
    "10 % doubled": Impairment(doubled=0.1),
    "5 s outage": Impairment(outage_at=2.0, outage=5.0),
}


#: Seconds that the machine may stand still in a run.
STILL = 0.04


class Run(msgspec.Struct, frozen=True):
    """A call, and the longest time (seconds) that the machine stood still during it."""

    outcome: Outcome
    still: float


def main() -> None:
    """Run the rows, print the table."""
    parser = argparse.ArgumentParser(description="What is heard over a bad network.")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each call; the outage's is 5 s longer")
    parser.add_argument("--runs", type=int, default=3, help="calls for each row, each with a seed of its own")
    parser.add_argument("--tries", type=int, default=4, help="how often a run is made that the machine disturbs")
    parser.add_argument("--only", default="", help="only the rows that begin so, beside the one without trouble")
    arguments = parser.parse_args()
    rows = {name: bad for name, bad in ROWS.items() if name == QUIET or name.startswith(arguments.only)}
    progress = Progress(len(rows) * arguments.runs)
    before = machine()
    found: dict[str, list[Run]] = {}
    for name, impairment in rows.items():
        for seed in range(1, arguments.runs + 1):
            progress.step(f"{name}, seed {seed}")
            bad = msgspec.structs.replace(impairment, seed=seed)
            found.setdefault(name, []).append(_run(bad, arguments.seconds + bad.outage, arguments.tries, progress))
    progress.end()
    figures = {
        name: {ear: _figures([getattr(run.outcome, ear) for run in runs]) for ear in ("agent", "caller")}
        for name, runs in found.items()
    }
    still = {name: [round(run.still * 1000) for run in runs] for name, runs in found.items()}
    print(f"over {found[QUIET][0].outcome.where}; median of {arguments.runs} runs, the worst in brackets")
    print("| | ear | heard or made up, % | true, % | longest stall, ms | delay, ms | added, ms | machine still, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for name, ears in figures.items():
        for ear, shown in ears.items():
            added = shown["delay"] - figures[QUIET][ear]["delay"]
            cells = [f"{shown[name]:g} ({shown[f'{name}_worst']:g})" for name in ("filled", "true", "stall")]
            rest = f"{shown['delay']:g} | {added:.0f} | {statistics.median(still[name]):g} ({max(still[name])})"
            print(f"| {name} | {ear} | {' | '.join(cells)} | {rest} |")
    print_result("loss", before, {name: {**ears, "still_ms": still[name]} for name, ears in figures.items()})


def _run(bad: Impairment, seconds: float, tries: int, progress: Progress) -> Run:
    """A run during which the machine does not stand still, or the stillest of some."""
    runs: list[Run] = []
    while len(runs) < tries:
        with Stillness() as watched:
            outcome = measure(bad, seconds)
        runs.append(Run(outcome, watched.longest))
        if watched.longest <= STILL:
            break
        progress.say(f"the machine stood still for {watched.longest * 1000:.0f} ms")
    return min(runs, key=lambda run: run.still)


def _figures(ears: list[Heard]) -> dict[str, float]:
    def middle(name: str, scale: float, digits: int) -> float:
        return round(float(statistics.median(getattr(ear, name) for ear in ears)) * scale, digits)

    return {
        "filled": middle("filled", 100, 1),
        "filled_worst": round(min(ear.filled for ear in ears) * 100, 1),
        "true": middle("true", 100, 1),
        "true_worst": round(min(ear.true for ear in ears) * 100, 1),
        "stall": middle("stall", 1000, 0),
        "stall_worst": round(max(ear.stall for ear in ears) * 1000),
        "delay": middle("delay", 1000, 1),
        "late": middle("late", 1000, 1),
    }


if __name__ == "__main__":
    main()
