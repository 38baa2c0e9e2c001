"""What processes cost, from /proc (Linux): CPU time and memory of the product, role by role."""

import os
from dataclasses import dataclass
from pathlib import Path

#: Clock ticks of /proc in a second.
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A process at one moment."""

    pid: int
    name: str
    #: Seconds of CPU since it began, user and system.
    cpu: float
    #: Proportional set size, MB: shared pages count in parts.
    memory: float


def processes_below(pid: int, *, memory: bool = False) -> list[Process]:
    """A process and everything it has started, directly or not. ``memory`` takes milliseconds."""
    parents: dict[int, list[int]] = {}
    cpu: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        parents.setdefault(int(words[1]), []).append(int(folder.name))
        cpu[int(folder.name)] = (int(words[11]) + int(words[12])) / _TICKS
    found, ahead = [], [pid]
    while ahead:
        one = ahead.pop()
        ahead += parents.get(one, [])
        if one in cpu:
            found.append(Process(one, _name(one, top=one == pid), cpu[one], _memory(one) if memory else 0.0))
    return found


def by_name(processes: list[Process]) -> dict[str, float]:
    """CPU seconds by role."""
    total: dict[str, float] = {}
    for process in processes:
        total[process.name] = total.get(process.name, 0.0) + process.cpu
    return total


def memory_by_name(processes: list[Process]) -> dict[str, float]:
    """MB by role."""
    total: dict[str, float] = {}
    for process in processes:
        total[process.name] = total.get(process.name, 0.0) + process.memory
    return total


def _name(pid: int, *, top: bool) -> str:
    """``supervisor``, a role, ``recognizer``, ``espeak``, or the program's name."""
    if top:
        return "supervisor"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return "ended"
    if "run" in words:
        return words[words.index("run") + 1]
    if "-m" in words:
        return words[words.index("-m") + 1].rpartition(".")[2].removesuffix("_worker")
    return Path(words[0]).name


def _memory(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
