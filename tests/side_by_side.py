"""Run all tests, those that compute beside those that talk.

Calls with real parts take their time and leave the machine idle for most of it. Meanwhile everything else runs, at a
low priority, so that it takes nothing from them.

python tests/side_by_side.py [arguments for pytest]
"""

import subprocess
import sys
import tempfile
import time

#: Tests in which callers and agents talk in real time.
TALKING = ("tests/e2e", "tests/wire")
#: How much the others give way.
NICENESS = 10
#: What pytest says when it was asked for nothing that is there.
NOTHING = 5


def main() -> int:
    """Run both halves; 0 when both passed."""
    pytest = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        others = [*pytest, "-p", "no:cacheprovider", *(f"--ignore={folder}" for folder in TALKING)]
        computing = subprocess.Popen(["nice", "-n", str(NICENESS), *others], stdout=said, stderr=subprocess.STDOUT)
        try:
            print(f"Calls with real parts ({', '.join(TALKING)}); the other tests run beside them.", flush=True)
            talking = subprocess.run([*pytest, *TALKING], check=False).returncode
            print("The other tests.", flush=True)
            computing.wait()
        finally:
            computing.terminate()
            computing.wait()
        said.seek(0)
        print(said.read(), end="")
    print(f"All tests took {time.monotonic() - began:.0f} s.", flush=True)
    failed = [code for code in (talking, computing.returncode) if code not in {0, NOTHING}]
    return max(failed, default=NOTHING if talking == computing.returncode == NOTHING else 0)


if __name__ == "__main__":
    sys.exit(main())
