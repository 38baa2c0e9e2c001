"""How fast whole clusters are simulated: seeds a second, and the wall time of an hour of calls.

just bench simulation [seeds]
"""

import gc
import sys
import time

from offhook.simulation.hunt import run_seed


def main() -> None:
    """Run both and print the figures; one process, one core."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    run_seed(0)
    gc.freeze()
    began = time.process_time()
    broken = [outcome.seed for seed in range(1, seeds + 1) if (outcome := run_seed(seed)).violation is not None]
    spent = time.process_time() - began
    print(f"{seeds} worlds of 10 calls with troubles: {seeds / spent:.1f} seeds a second of one core; broken: {broken}")
    began, talked, seed = time.process_time(), 0.0, 0
    while talked < 3600:
        seed += 1
        talked += run_seed(seed, calls=20, faults=False).talked
    spent = (time.process_time() - began) / talked * 3600
    print(f"an hour of calls costs {spent:.1f} s of one core ({talked:.0f} s of calls in {seed} worlds)")


if __name__ == "__main__":
    main()
