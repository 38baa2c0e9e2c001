"""How fast whole clusters are simulated: seeds a second of one core, and the CPU time of an hour of calls.

just bench simulation [--seeds N] [--times N]

A seed is a world of 2 gateways, 2 voice nodes, 2 records nodes and 10 calls, with all troubles. An hour of calls is
3,600 seconds that callers spend in answered calls, 20 callers to a world, without troubles. Both are counted in CPU
time of one process; beside them stands what a million steps of plain Python cost, to compare machines by.
"""

import argparse
import gc
import time

from measure.figures import Progress, machine, print_result, row, summary

from offhook.simulation.hunt import run_seed


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30, help="worlds in each repetition (30)")
    parser.add_argument("--times", type=int, default=3, help="repetitions (3)")
    options = parser.parse_args()
    before, progress = machine(), Progress(3 * options.times)
    # What is imported stays: it need not be looked at again.
    run_seed(0)
    gc.collect()
    gc.freeze()
    rates, hours, plain = list[float](), list[float](), list[float]()
    broken = set[int]()
    for time_ in range(options.times):
        progress.step(f"{options.seeds} worlds with troubles, {time_ + 1} of {options.times}")
        seconds, found = worlds(range(1, options.seeds + 1))
        rates.append(options.seeds / seconds)
        broken.update(found)
        progress.step(f"an hour of calls, {time_ + 1} of {options.times}")
        hours.append(hour())
        progress.step("plain Python")
        plain.append(million_steps())
    progress.end()
    print(row("worlds with troubles", rates, "/s", 1, " of one core; aim 10"))
    print(row("an hour of calls", hours, "s", 2, " of one core; aim 2"))
    print(row("a million steps of plain Python", plain, "s", 3))
    print(f"broken seeds: {sorted(broken) or 'none'}")
    figures = {
        "seeds_per_second": summary(rates, 2),
        "seconds_per_hour_of_calls": summary(hours, 3),
        "seconds_per_million_plain_steps": summary(plain, 4),
        "broken": sorted(broken),
    }
    print_result("simulation", before, figures)


def worlds(seeds: range) -> tuple[float, list[int]]:
    """CPU seconds of these worlds, and the seeds that broke an invariant."""
    began = time.process_time()
    broken = [seed for seed in seeds if run_seed(seed).violation is not None]
    return time.process_time() - began, broken


def hour() -> float:
    """CPU seconds that an hour of answered calls costs."""
    began, talked, seed = time.process_time(), 0.0, 0
    while talked < 3600:
        seed += 1
        talked += run_seed(seed, calls=20, faults=False).talked
    return (time.process_time() - began) / talked * 3600


def million_steps() -> float:
    """CPU seconds of a million steps of a generator."""
    began = time.process_time()
    for _ in iter(range(1_000_000)):
        pass
    return time.process_time() - began


if __name__ == "__main__":
    main()
