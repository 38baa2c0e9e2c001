"""What the tests of supervision know of processes: from /proc, so that nobody has to be asked."""

from collections.abc import Callable
from pathlib import Path

import anyio

#: Seconds; far more than anything here takes, so that a hang fails.
SOON = 60.0


def lives(pid: int) -> bool:
    """Whether a process runs. A zombie whose parent is gone too is dead, though it still has a number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> list[int]:
    """The children of a process, started by any of its threads."""
    try:
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _words(file: Path) -> list[str]:
    return file.read_text().split()


def descendants_of(pid: int) -> list[int]:
    """The children, and theirs."""
    return [one for child in children_of(pid) for one in (child, *descendants_of(child))]


def program_of(pid: int) -> str:
    """The name of the program that a process runs."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rpartition("/")[2]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that will be so soon."""
    with anyio.fail_after(SOON):
        while not condition():
            await anyio.sleep(0.02)
