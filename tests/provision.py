"""Put in place what the tests need beside Python packages: Debian's Chromium, coturn, PostgreSQL, flite to speak, and
opusinfo, which looks at recordings.

python tests/provision.py           install what is missing, or say what to install
python tests/provision.py --check   install nothing
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

#: Program, and the Debian package it comes with.
NEEDED = {
    "chromium": "chromium",
    "flite": "flite",
    "opusinfo": "opus-tools",
    "pg_lsclusters": "postgresql",
    "turnserver": "coturn",
}

Runner = Callable[[Sequence[str]], bool]


def missing(programs: Iterable[str] = NEEDED) -> list[str]:
    """The programs that are not on the PATH."""
    return [program for program in programs if shutil.which(program) is None]


def run(command: Sequence[str]) -> bool:
    """Run a command that must not ask anything; True when it went well."""
    print("+", *command, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False).returncode == 0


def as_root(runner: Runner = run) -> list[str] | None:
    """What to put before a command that needs root; None when there is no way without a question."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and runner(["sudo", "-n", "true"]):
        # sudo clears the environment.
        return ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive"]
    return None


def install(packages: Sequence[str], runner: Runner = run) -> bool:
    """Install Debian packages; False when that is not possible here."""
    if shutil.which("apt-get") is None or (root := as_root(runner)) is None:
        return False
    # Another apt may be at work on a machine that has just started; mirrors hiccup.
    patient = ["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"]
    # A fresh image has no lists; an update that fails in one of its sources may still be enough.
    runner([*root, "apt-get", *patient, "update"])
    return runner([*root, "apt-get", *patient, "install", "--yes", "--no-install-recommends", *packages])


def main() -> int:
    """Install, or say what to install."""
    parser = argparse.ArgumentParser(description="Install what the tests need beside Python packages.")
    parser.add_argument("--check", action="store_true", help="install nothing")
    check = parser.parse_args().check
    packages = [NEEDED[program] for program in missing()]
    if packages and not check:
        install(packages)
    if left := missing():
        names = " ".join(NEEDED[program] for program in left)
        print(
            f"The tests need {' and '.join(left)}. As root: apt-get update && apt-get install {names}", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
