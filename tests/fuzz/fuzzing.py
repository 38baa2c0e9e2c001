"""Feed the readers of packets, offers and candidates with what a fuzzer makes up, and keep what breaks one.

Each target (fuzz_targets.py) runs in a process of its own with atheris, which follows the code's branches. What it has
found interesting stays in `.fuzz/` and is where the next run begins; so does an input that breaks something.

    python tests/fuzz/fuzzing.py [--seconds 60] [--only rtp,sdp]    all targets one after another, for so long together
    python tests/fuzz/fuzzing.py --replay rtp FILE                  feed one input again
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / ".fuzz"
#: MB and seconds that one input may take, and its longest size in bytes.
_BOUNDS = ("-rss_limit_mb=1500", "-timeout=10", "-max_len=4096")
sys.path.insert(0, str(ROOT / "tests" / "services"))


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target; tells how it went. True when nothing broke."""
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--inside", name, f"-max_total_time={seconds}", *_BOUNDS]
    command += [f"-artifact_prefix={KEPT}/{name}-", str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    runs = re.findall(r"Done (\d+) runs in (\d+) second", done.stderr)
    found = re.findall(r"cov: (\d+)", done.stderr)
    if done.returncode == 0 and runs:
        number, took = runs[-1]
        print(f"{name:16} {int(number):>9} inputs in {took} s, {found[-1] if found else 0} branches, all is well")
        return True
    print(f"{name:16} BROKEN\n" + "\n".join((done.stdout + done.stderr).splitlines()[-40:]))
    return False


def inside(name: str, arguments: Sequence[str]) -> None:
    """The process of one target. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["offhook", "aiortc.rtp", "aioice.stun"], enable_loader_override=False):
        from fuzz_targets import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds):
        (KEPT / name / f"seed-{number}").write_bytes(seed)
    atheris.Setup([name, *arguments], target.feed)
    atheris.Fuzz()


def main() -> int:
    """Fuzz, or replay."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--only", help="some of the targets, with commas between")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="feed one input to one target")
    options = parser.parse_args()
    from fuzz_targets import TARGETS

    if options.replay:
        name, file = options.replay
        TARGETS[name].feed(Path(file).read_bytes())
        print("nothing broke")
        return 0
    names = options.only.split(",") if options.only else list(TARGETS)
    os.nice(5)
    broken = [name for name in names if not fuzz(name, max(1, options.seconds // len(names)))]
    for name in broken:
        for file in sorted(KEPT.glob(f"{name}-*")):
            print(f"again: python tests/fuzz/fuzzing.py --replay {name} {file.relative_to(ROOT)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
