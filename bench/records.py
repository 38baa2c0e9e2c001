"""How fast records are written and found, on SQLite and on PostgreSQL (Debian's, in a temporary folder).

First the projector's writes: entries of calls that go on side by side, in batches as they come from the bus. Then the
records role's own path: logs in a real NATS server, read by the transcript actor, written to the store (aim: 500
calls' worth of events a second). Both with a hundred calls at one time, so that a batch brings several entries of each,
and with thousands, so that it brings one. Then a store is filled with many calls, call by call, which is quicker, and
pages of calls are read as a person or a program asks for them (aim: p95 under 50 ms), each question many times with
other values. At last calls are erased from it: some by their ids, and 1 % of all because they are too old.

    python bench/records.py [--calls 100000] [--times 40] [--on sqlite --on postgresql] [--writes 5000] [--bus 3000]
                             [--runs 3]
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from measure.call_logs import side_by_side
from measure.figures import Progress, machine, print_result
from measure.processes import processes_below
from measure.record_erasing import erase
from measure.record_reading import read

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from postgres import PostgresServer

from offhook.actors.ports import MAX_BATCH, BusAway, WrongSequence
from offhook.actors.transcript import TranscriptActor
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import encode
from offhook.services.bus import nats_server, open_bus
from offhook.services.store import Store, StoreRecords, open_store, tell_webhooks

#: Calls that go on side by side.
AT_ONCE = (100, 3000)


def cpu_of(server: PostgresServer | None) -> Callable[[], float]:
    """A clock of the CPU that this process and the database's server use, seconds (NATS has its own)."""

    def now() -> float:
        theirs = 0.0 if server is None else sum(one.cpu for one in processes_below(server.pid))
        return time.process_time() + theirs

    return now


def fill(
    store: Store, calls: int, clock: Callable[[], float], *, at_once: int = 100, size: int = MAX_BATCH
) -> dict[str, float]:
    """Fill the store; entries are made beforehand, ``size`` by ``size``, and not measured."""
    entries = spent = cpu = 0.0
    batch: list[LogEntry] = []

    def write() -> None:
        nonlocal entries, spent, cpu
        used, begun = clock(), time.perf_counter()
        store.project_all(batch, listener=tell_webhooks)
        spent, cpu = spent + time.perf_counter() - begun, cpu + clock() - used
        entries += len(batch)
        batch.clear()

    for entry in chain.from_iterable(side_by_side(calls, at_once, random.Random(1))):
        batch.append(entry)
        if len(batch) == size:
            write()
    write()
    return written(calls, entries, spent, cpu)


def written(calls: int, entries: float, spent: float, cpu: float) -> dict[str, float]:
    """What one run of writing came to."""
    return {"calls": calls, "entries": entries, "seconds": round(spent, 1), "calls/s": round(calls / spent),
            "calls per cpu second": round(calls / cpu)}  # fmt: skip


def median_of(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Of several runs of writing: the one in the middle, the slowest and the fastest."""
    runs.sort(key=lambda run: run["calls/s"])
    return runs[len(runs) // 2] | {"runs": len(runs), "least": runs[0]["calls/s"], "most": runs[-1]["calls/s"]}


class Counted:
    """Records that say when so many entries have been taken."""

    def __init__(self, records: StoreRecords, entries: int) -> None:
        self._records = records
        self._left = entries
        self.done = anyio.Event()

    async def project(self, entry: LogEntry, *, over_gap: bool = False) -> bool:
        taken = await self._records.project(entry, over_gap=over_gap)
        self._count(taken)
        return taken

    async def project_all(self, entries: Any) -> int:
        taken = await self._records.project_all(entries)
        self._count(taken)
        return taken

    def _count(self, taken: int) -> None:
        self._left -= taken
        if self._left <= 0:
            self.done.set()


def run_beside_nats(work: Callable[[str], Awaitable[dict[str, float]]]) -> dict[str, float]:
    """Run ``work`` on trio, given the URL of a NATS server.

    The server ends with the thread that started it, and trio's threads come and go: so it is started on asyncio.
    """

    async def serve() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            async with nats_server(Path(folder)) as url:
                return await anyio.to_thread.run_sync(partial(anyio.run, work, url, backend="trio"))

    return anyio.run(serve, backend="asyncio")


async def follow(place: str, calls: int, at_once: int, clock: Callable[[], float], url: str) -> dict[str, float]:
    """The transcript actor, from logs in a NATS server to a new store."""
    store = open_store(place)
    async with open_bus(url, name="gateway") as gateway:
        count = await append_all(gateway, side_by_side(calls, at_once, random.Random(3)))
    async with open_bus(url, name="records") as bus, anyio.create_task_group() as tasks:
        records = Counted(StoreRecords(store, listeners=(tell_webhooks,)), count)
        cpu, begun = clock(), time.perf_counter()
        tasks.start_soon(TranscriptActor(bus, records).run)
        await records.done.wait()
        spent, cpu = time.perf_counter() - begun, clock() - cpu
        tasks.cancel_scope.cancel()
    store.close()
    return written(calls, count, spent, cpu)


async def append_all(bus: Any, entries: Iterable[list[LogEntry]]) -> int:
    """Write logs, the entries of each list at one time; how many entries there are. None of them stays in memory."""
    last, limit, count = dict[str, int](), anyio.CapacityLimiter(64), 0

    async def write(entry: LogEntry) -> None:
        async with limit:
            last[entry.call] = await append(bus, entry, last.get(entry.call, 0))

    for some in entries:
        async with anyio.create_task_group() as tasks:
            for entry in some:
                tasks.start_soon(write, entry)
        count += len(some)
    return count


async def append(bus: Any, entry: LogEntry, end: int) -> int:
    """Append an entry to a log that ends at ``end``, however long a busy disk takes; its revision."""
    log = subjects.log(entry.call)
    while True:
        try:
            return int(await bus.append(log, encode(entry), last=end))
        except BusAway:
            await anyio.sleep(0.5)
        except WrongSequence:
            # It was done, and the answer came too late.
            return int((await bus.read_log(log))[-1].revision)


def say(name: str, figures: dict[str, Any]) -> None:
    """Print the newest figures of one database."""
    what, found = list(figures.items())[-1]
    print(f"\n{name}, {what}", flush=True)
    if not what.startswith("read"):
        print(f"  {found}", flush=True)
        return
    for question, (median, p95, cpu) in found.items():
        note = "   over 50 ms" if p95 > 50 else ""
        print(f"  {question:28} {median:8.1f} ms median {p95:8.1f} ms p95 {cpu:8.1f} ms CPU{note}", flush=True)


def write_once(place: str, options: argparse.Namespace, at_once: int, clock: Callable[[], float]) -> dict[str, float]:
    """Entries in batches, into a new store."""
    store = open_store(place)
    found = fill(store, options.writes, clock, at_once=at_once)
    store.close()
    return found


def follow_once(place: str, options: argparse.Namespace, at_once: int, clock: Callable[[], float]) -> dict[str, float]:
    """Logs from NATS, into a new store."""
    return run_beside_nats(partial(follow, place, options.bus, at_once, clock))


def measure(name: str, options: argparse.Namespace, folder: Path, progress: Progress) -> dict[str, Any]:
    """All figures of one database."""
    server = PostgresServer(safe=True) if name == "postgresql" else None
    try:

        def place(file: str) -> str:
            return str(folder / file) if server is None else server.new_database()

        clock, runs = cpu_of(server), range(options.runs)
        figures: dict[str, Any] = {}
        for (how, work), at_once in product((("written", write_once), ("from the bus", follow_once)), AT_ONCE):
            what = f"{how}, {at_once} calls at once"
            progress.step(f"{name}: {what}")
            figures[what] = median_of([work(place(f"{what} {run}.db"), options, at_once, clock) for run in runs])
            say(name, figures)
        progress.step(f"{name}: filling with {options.calls} calls")
        store = open_store(place("filled.db"))
        fill(store, options.calls, clock, at_once=1, size=5000)
        if server is not None:
            with store.reading() as connection:
                connection.exec_driver_sql("ANALYZE")
        progress.step(f"{name}: reading")
        figures["read, ms (median, p95, cpu)"] = read(store, options.times, clock)
        say(name, figures)
        progress.step(f"{name}: erasing")
        figures["erased, ms (median, p95, cpu)"] = erase(store, options.times, clock)
        say(name, figures)
        store.close()
    finally:
        if server is not None:
            server.close()
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=100_000, help="calls in the store")
    parser.add_argument("--times", type=int, default=40, help="times that each question is asked")
    parser.add_argument("--writes", type=int, default=5000, help="calls whose writing is measured")
    parser.add_argument("--bus", type=int, default=3000, help="calls that come from the bus")
    parser.add_argument("--runs", type=int, default=3, help="times that writing is measured")
    parser.add_argument("--on", action="append", choices=["sqlite", "postgresql"], help="only there")
    options = parser.parse_args()
    if options.times < 2:
        parser.error("a percentile needs --times 2 or more")
    before = machine()
    names = options.on or ["sqlite", "postgresql"]
    progress = Progress(7 * len(names))
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            figures[name] = measure(name, options, Path(folder), progress)
    progress.end()
    print_result("records", before, figures)


if __name__ == "__main__":
    main()
