"""Run all tests, those that compute beside those that talk.

Calls with real parts take their time and leave the machine idle for most of it. Meanwhile everything else runs, at a
low priority, so that it takes little from them. A machine that is too small for both can make calls stutter: what fails
is run once more when the machine is free, and counts if it fails again. It is named in either case.

python tests/side_by_side.py [options for pytest]
"""

import subprocess
import sys
import tempfile
import time

#: Tests in which callers and agents talk in real time.
TALKING = ("tests/e2e", "tests/wire")
#: How much the others give way.
NICENESS = 10
#: What pytest says when some tests failed, and when there was none to run.
FAILED, NOTHING = 1, 5


def main() -> int:
    """Run both halves; 0 when both passed."""
    began = time.monotonic()
    talk = _pytest("talking", *sys.argv[1:], *TALKING)
    compute = _pytest("computing", *sys.argv[1:], *(f"--ignore={folder}" for folder in TALKING))
    with tempfile.TemporaryFile("w+") as said:
        computing = subprocess.Popen(["nice", "-n", str(NICENESS), *compute], stdout=said, stderr=subprocess.STDOUT)
        try:
            print(f"Calls with real parts ({', '.join(TALKING)}); the other tests run beside them.", flush=True)
            codes = [subprocess.run(talk, check=False).returncode]
            print("The other tests.", flush=True)
            codes.append(computing.wait())
        finally:
            computing.terminate()
            computing.wait()
        said.seek(0)
        print(said.read(), end="", flush=True)
    for half, (command, code) in enumerate(zip((talk, compute), codes, strict=True)):
        if code == FAILED:
            print("Once more, alone: what failed beside the others.", flush=True)
            codes[half] = subprocess.run([*command, "--last-failed", "-v"], check=False).returncode
    print(f"All tests took {time.monotonic() - began:.0f} s.", flush=True)
    return max((code for code in codes if code != NOTHING), default=NOTHING)


def _pytest(half: str, *options: str) -> list[str]:
    # Each half remembers its own failures.
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{half}", *options]


if __name__ == "__main__":
    sys.exit(main())
