"""Run all tests, some groups of them at the same time.

Calls with real parts take their time and leave the machine idle for most of it, so those in a browser and those on the
wire run beside each other, and what only computes beside both, at a low priority. A machine that is too small for that
can make calls stutter: what fails is run once more when the machine is free, and counts if it fails again. It is named
in either case.

python tests/side_by_side.py [options for pytest]
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

#: How much tests that compute give way to those that talk.
NICENESS = 10
#: Groups that run at the same time.
AT_ONCE = 3
#: What pytest says when some tests failed, and when there was none to run.
FAILED, NOTHING = 1, 5


@dataclass
class Group:
    """Some of the tests, in a process of their own."""

    name: str
    paths: Sequence[str]
    #: Whether callers and agents talk in real time.
    talks: bool = False
    code: int = field(default=NOTHING, init=False)
    process: "subprocess.Popen[str] | None" = field(default=None, init=False)

    def run(self, *options: str, beside: bool) -> None:
        """Run the tests; each line they print is named after the group."""
        nice = ["nice", "-n", str(NICENESS)] if beside and not self.talks else []
        # Each group remembers its own failures.
        pytest = [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{self.name}", *options, *self.paths]
        with subprocess.Popen([*nice, *pytest], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            self.process = process
            assert process.stdout is not None
            for line in process.stdout:
                print(f"{self.name:>8} {line}", end="", flush=True)
        self.code = process.returncode


#: The longest first.
GROUPS = (
    Group("browser", ["tests/e2e"], talks=True),
    Group("wire", ["tests/wire"], talks=True),
    Group("services", ["tests/services"]),
    Group("rest", [f"--ignore=tests/{folder}" for folder in ("e2e", "wire", "services")]),
)


def main() -> int:
    """Run all groups; 0 when all have passed."""
    began = time.monotonic()
    os.environ["PYTHONUNBUFFERED"] = "1"
    waiting = iter(GROUPS)
    turn = threading.Lock()

    def work() -> None:
        while True:
            with turn:
                group = next(waiting, None)
            if group is None:
                return
            group.run(*sys.argv[1:], beside=True)
            print(f"{group.name:>8} took until {time.monotonic() - began:.0f} s.", flush=True)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(AT_ONCE)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        for group in GROUPS:
            if group.process is not None and group.process.poll() is None:
                group.process.terminate()
                group.process.wait()
    for group in GROUPS:
        if group.code == FAILED:
            print("Once more, alone: what failed beside the others.", flush=True)
            group.run(*sys.argv[1:], "--last-failed", "-v", beside=False)
    print(f"All tests took {time.monotonic() - began:.0f} s.", flush=True)
    return max((group.code for group in GROUPS if group.code != NOTHING), default=NOTHING)


if __name__ == "__main__":
    sys.exit(main())
