"""How fast records are written and found, on SQLite and on PostgreSQL (Debian's, in a temporary folder).

First the projector's writes: entries of calls that go on side by side, in batches as they come from the bus. Then the
records role's own path: logs in a real NATS server, read by the transcript actor, written to the store (aim: 500
calls' worth of events a second). Then a store is filled with many calls, call by call, which is quicker, and pages of
calls are read as a person or a program asks for them (aim: p95 under 50 ms), each question many times with other
values.

    python bench/records.py [--calls 100000] [--times 40] [--on sqlite --on postgresql] [--writes 5000] [--bus 3000]
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from measure.figures import Progress, machine, print_result

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from postgres import PostgresServer

from offhook.actors.transcript import BATCH, TranscriptActor
from offhook.protocol import subjects
from offhook.protocol.call import CallState, EndReason, LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.messages import encode
from offhook.protocol.record import CallFilter
from offhook.services.bus import nats_server, open_bus
from offhook.services.store import Store, StoreRecords, open_store, tell_webhooks

#: What callers and agents say, over and over; and words of which each stands in few calls.
COMMON = (
    "hello this is the front desk how can I help you", "what are your opening hours", "we are open from nine to five",
    "I would like to book an appointment", "on which day does it suit you", "on monday please at ten", "goodbye",
)  # fmt: skip
RARE = 5000
AGENTS = tuple(f"agent-{number}" for number in range(20))
SDP = "v=0\r\n" + "a=candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host\r\n" * 20
BEGIN = 1_760_000_000.0


def log_of(number: int, dice: random.Random) -> list[LogEntry]:
    """The log of one short call: 18 entries, 6 lines."""
    call, at = str(uuid.UUID(int=dice.getrandbits(128), version=4)), BEGIN + 300.0 * number
    lines = [dice.choice(COMMON) for _ in range(5)] + [f"my number is word{dice.randrange(RARE)}"]
    offer = ev.Offered(
        agent=dice.choice(AGENTS), version="1", workspace="main" if number % 100 else "small", sdp=SDP,
        mode="traditional", channel=dice.choice(["web", "web", "web", "chat"]), variables={"name": "Ada"},
        metadata={"plan": dice.choice(["tin", "gold"]), "customer": str(dice.randrange(10_000))},
    )  # fmt: skip
    happened: list[ev.CallEvent] = [offer, ev.MediaPrepared(sdp=SDP, node="voice-1"), ev.MediaConnected()]
    happened.append(ev.AgentAnswered())
    for line, words in enumerate(lines, 1):
        speaker: Any = "agent" if line % 2 else "caller"
        happened.append(ev.Said(role=speaker, text=words, line=line, began=at + line, ended=at + line + 1))
        happened.append(ev.FloorPassed(floor="listening" if line % 2 else "speaking"))
    lost = dice.random() < 0.02
    happened[-1:] = [ev.CallerHungUp(), ev.AgentStopped(), ev.MediaClosed()] if not lost else [
        ev.MediaFailed(reason="media_failed", message="gone"), ev.AgentStopped(), ev.MediaClosed(),
    ]  # fmt: skip
    return [LogEntry(call=call, seq=seq, at=at + seq, owner=1, event=event) for seq, event in enumerate(happened, 1)]


def interleaved(calls: int, at_once: int, dice: random.Random) -> Iterator[LogEntry]:
    """The entries of many calls, of which ``at_once`` go on side by side."""
    for first in range(0, calls, at_once):
        logs = [log_of(number, dice) for number in range(first, min(first + at_once, calls))]
        for position in range(max(map(len, logs))):
            yield from (log[position] for log in logs if position < len(log))


def fill(store: Store, calls: int, *, at_once: int = 100, size: int = BATCH) -> dict[str, float]:
    """Fill the store; entries are made beforehand, ``size`` by ``size``, and not measured."""
    entries = spent = cpu = 0.0
    batch: list[LogEntry] = []

    def write() -> None:
        nonlocal entries, spent, cpu
        begun, used = time.perf_counter(), time.process_time()
        store.project_all(batch, listener=tell_webhooks)
        spent, cpu = spent + time.perf_counter() - begun, cpu + time.process_time() - used
        entries += len(batch)
        batch.clear()

    for entry in interleaved(calls, at_once, random.Random(1)):
        batch.append(entry)
        if len(batch) == size:
            write()
    write()
    return {"calls": calls, "entries": entries, "seconds": round(spent, 1), "entries/s": round(entries / spent),
            "calls/s": round(calls / spent), "cpu seconds": round(cpu, 1)}  # fmt: skip


def questions(store: Store, dice: random.Random) -> dict[str, Callable[[], Any]]:
    """What is asked; each time with other values."""
    cursor = store.calls(limit=200).cursor
    newest = store.calls(limit=200).calls
    middle = newest[0].created_at / 2 + BEGIN / 2

    def ask(workspace: str = "main", **wanted: Any) -> Any:
        return store.calls(CallFilter(workspace=workspace, **wanted), limit=50)

    return {
        "newest 50": ask,
        "the page after 200": lambda: store.calls(limit=50, cursor=cursor),
        "one call": lambda: store.call(dice.choice(newest).id),
        "by the beginning of its id": lambda: store.call(dice.choice(newest).id[:13]),
        "agent": lambda: ask(agent=dice.choice(AGENTS)),
        "state": lambda: ask(state=CallState.ENDED),
        "reason, 2 % of calls": lambda: ask(reason=EndReason.FAILED),
        "channel": lambda: ask(channel="chat"),
        "a day": lambda: ask(since=middle, until=middle + 86_400 * dice.random()),
        "metadata, few": lambda: ask(metadata={"customer": str(dice.randrange(10_000))}),
        "metadata, half of all": lambda: ask(metadata={"plan": "gold"}),
        "text, few": lambda: ask(text=f"word{dice.randrange(RARE)}"),
        "text, most calls": lambda: ask(text=dice.choice(["hello", "goodbye", "opening hours"])),
        "text, nobody said it": lambda: ask(text="swordfish"),
        "text, beginning of a word": lambda: ask(text=f"word{dice.randrange(10, 50)}"),
        "text, few and most": lambda: ask(text=f"hello word{dice.randrange(RARE)}"),
        "text, few and metadata, half": lambda: ask(text=f"word{dice.randrange(RARE)}", metadata={"plan": "gold"}),
        "a workspace of 1 % of calls": lambda: ask("small"),
        "text, few, in it": lambda: ask("small", text=f"word{dice.randrange(RARE)}"),
        "text and agent and day": lambda: ask(text="monday", agent=dice.choice(AGENTS), since=middle),
    }


def read(store: Store, times: int) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of each question, milliseconds; the first time does not count."""
    found = {}
    for name, question in questions(store, random.Random(2)).items():
        question()
        took = []
        for _ in range(times):
            begun = time.perf_counter()
            question()
            took.append(1000 * (time.perf_counter() - begun))
        found[name] = (round(statistics.median(took), 1), round(statistics.quantiles(took, n=20)[-1], 1))
    return found


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


async def follow(place: str, calls: int, url: str) -> dict[str, float]:
    """The transcript actor, from logs in a NATS server to a new store."""
    store = open_store(place)
    entries = list(interleaved(calls, 100, random.Random(3)))
    async with open_bus(url, name="gateway") as gateway:
        await append_all(gateway, entries)
    async with open_bus(url, name="records") as bus, anyio.create_task_group() as tasks:
        records = Counted(StoreRecords(store, listeners=(tell_webhooks,)), len(entries))
        begun, cpu = time.perf_counter(), time.process_time()
        tasks.start_soon(TranscriptActor(bus, records).run)
        await records.done.wait()
        spent, cpu = time.perf_counter() - begun, time.process_time() - cpu
        tasks.cancel_scope.cancel()
    store.close()
    count = len(entries)
    return {"calls": calls, "entries": count, "seconds": round(spent, 1), "entries/s": round(count / spent),
            "calls/s": round(calls / spent), "cpu seconds": round(cpu, 1)}  # fmt: skip


async def append_all(bus: Any, entries: list[LogEntry]) -> None:
    """Write the logs, many calls at one time."""
    logs: dict[str, list[LogEntry]] = {}
    for entry in entries:
        logs.setdefault(entry.call, []).append(entry)
    limit = anyio.CapacityLimiter(64)

    async def write(log: list[LogEntry]) -> None:
        async with limit:
            last = 0
            for entry in log:
                last = await bus.append(subjects.log(entry.call), encode(entry), last=last)

    async with anyio.create_task_group() as tasks:
        for log in logs.values():
            tasks.start_soon(write, log)


def say(name: str, figures: dict[str, Any]) -> None:
    """Print the newest figures of one database."""
    what, found = list(figures.items())[-1]
    print(f"\n{name}, {what}", flush=True)
    if not what.startswith("read"):
        print(f"  {found}", flush=True)
        return
    for question, (median, p95) in found.items():
        note = "   over 50 ms" if p95 > 50 else ""
        print(f"  {question:28} {median:8.1f} ms median {p95:8.1f} ms p95{note}", flush=True)


def measure(name: str, options: argparse.Namespace, folder: Path, progress: Progress) -> dict[str, Any]:
    """All figures of one database."""
    server = PostgresServer(safe=True) if name == "postgresql" else None
    try:

        def place(file: str) -> str:
            return str(folder / file) if server is None else server.new_database()

        progress.step(f"{name}: writing {options.writes} calls")
        store = open_store(place("written.db"))
        figures: dict[str, Any] = {"written": fill(store, options.writes)}
        store.close()
        say(name, figures)
        progress.step(f"{name}: from the bus")
        figures["from the bus"] = run_beside_nats(partial(follow, place("followed.db"), options.bus))
        say(name, figures)
        progress.step(f"{name}: filling with {options.calls} calls")
        store = open_store(place("filled.db"))
        fill(store, options.calls, at_once=1, size=5000)
        if server is not None:
            with store.reading() as connection:
                connection.exec_driver_sql("ANALYZE")
        progress.step(f"{name}: reading")
        figures["read, ms (median, p95)"] = read(store, options.times)
        store.close()
        say(name, figures)
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
    parser.add_argument("--on", action="append", choices=["sqlite", "postgresql"], help="only there")
    options = parser.parse_args()
    before = machine()
    names = options.on or ["sqlite", "postgresql"]
    progress = Progress(4 * len(names))
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            figures[name] = measure(name, options, Path(folder), progress)
    progress.end()
    print_result("records", before, figures)


if __name__ == "__main__":
    main()
