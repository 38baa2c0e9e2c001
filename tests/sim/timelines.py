"""What the timelines of ten worlds are, byte for byte: ``timelines.txt`` beside this file, a seed and a SHA-256 a line.

    python tests/sim/timelines.py           write them
    python tests/sim/timelines.py --check   fail when they are others here

The file is how one machine tells another what a seed gave. It changes when an actor does something else or at another
moment; a change that is meant to change nothing leaves it as it is.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from offhook.simulation.hunt import run_seed

FILE = Path(__file__).with_name("timelines.txt")
SEEDS = range(2_000, 2_010)


def timelines() -> str:
    """The lines, as this machine has them."""
    hashes = {seed: hashlib.sha256(run_seed(seed).timeline.text().encode()).hexdigest() for seed in SEEDS}
    return "".join(f"{seed} {digest}\n" for seed, digest in hashes.items())


def main() -> None:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    here, there = timelines(), FILE.read_text() if FILE.exists() else ""
    if not parser.parse_args().check:
        FILE.write_text(here)
    elif here != there:
        others = [line for line in here.splitlines() if line not in there.splitlines()]
        sys.exit("these worlds go another way than where timelines.txt was written:\n" + "\n".join(others))


if __name__ == "__main__":
    main()
