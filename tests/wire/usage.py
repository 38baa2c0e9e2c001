"""What a running product holds, role by role: processes, threads, open files, memory from /proc (Linux), and tasks.

A role tells its tasks in its log when it gets SIGUSR1.
"""

import os
import re
import signal
import time
import urllib.request
from pathlib import Path

import msgspec
from product import Product
from prometheus_client.parser import text_string_to_metric_families

ROLES = ("gateway", "voice", "records", "api")


class Usage(msgspec.Struct, frozen=True):
    """What the processes of one name hold together."""

    processes: int = 0
    threads: int = 0
    files: int = 0
    #: Of the open files, those that are sockets.
    sockets: int = 0
    #: Resident set size, MB.
    memory: float = 0.0
    #: The part of it that is nobody else's and no file's, MB: what a leak shows in.
    private: float = 0.0

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.processes + other.processes,
            self.threads + other.threads,
            self.files + other.files,
            self.sockets + other.sockets,
            self.memory + other.memory,
            self.private + other.private,
        )


def usage_below(pid: int) -> dict[str, Usage]:
    """What a process and everything below it holds, by the names of roles and programs."""
    found: dict[str, Usage] = {}
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        children.setdefault(parent, []).append(int(folder.name))
    ahead = [pid]
    while ahead:
        one = ahead.pop()
        ahead += children.get(one, [])
        try:
            name, used = _name(one), _usage(one)
        except OSError:
            continue
        found[name] = found.get(name, Usage()).plus(used)
    return found


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if "run" in words:
        return words[words.index("run") + 1]
    if "-m" in words:
        return words[words.index("-m") + 1].rpartition(".")[2]
    return Path(words[1] if "python" in words[0] else words[0]).name


def _usage(pid: int) -> Usage:
    folder = Path(f"/proc/{pid}")
    lines = (line.split() for line in (folder / "status").read_text().splitlines())
    status = {words[0].rstrip(":"): words[1] for words in lines if len(words) > 1}
    files = [_target(file) for file in (folder / "fd").iterdir()]
    sockets = sum(file.startswith("socket:") for file in files)
    memory, private = (round(int(status.get(name, 0)) / 1024, 2) for name in ("VmRSS", "RssAnon"))
    return Usage(1, int(status["Threads"]), len(files), sockets, memory, private)


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""  # closed meanwhile


def tasks_of(product: Product) -> dict[str, int]:
    """Tasks that live in the loop of each role."""
    roles = {name: pid for name, pid in product.processes().items() if name in ROLES}
    known = len(_told(product))
    for pid in roles.values():
        os.kill(pid, signal.SIGUSR1)
    for _ in range(100):
        told = _told(product)[known:]
        if len(told) == len(roles):
            return {role: int(count) for role, count in sorted(told)}
        time.sleep(0.05)
    raise AssertionError(f"not every role told its tasks: {told}")


def dropped_by(product: Product) -> dict[str, int]:
    """Datagrams that the voice role has dropped so far, by kind."""
    tasks_of(product)
    lines = re.findall(r"\[voice\] datagrams dropped *(.*)", product.log.read_text())
    return {kind: int(count) for kind, count in re.findall(r"(\w+)=(\d+)", lines[-1])}


def _told(product: Product) -> list[tuple[str, str]]:
    return re.findall(r"\[(\w+)\] tasks living +tasks=(\d+)", product.log.read_text())


def figures_at(port: int) -> dict[tuple[str, str], float]:
    """The figures that a role of the product serves: (name, value of its label) and number."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
