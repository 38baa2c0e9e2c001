"""What the bus costs, in asyncio and behind the bridge to trio, on an embedded server with durable writes.

    python bench/bus.py [messages]

Request: a message to a second client and its answer back. Messages: published by one client, read by the other.
Append: one event of a call's log, on disk when it returns. Key: one renewal of a lease.
"""

import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time

import anyio

from offhook.actors.ports import Bus
from offhook.services.bus import nats_server, open_bus

DATA = bytes(200)
Figures = dict[str, str]


async def timed(count: int, work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Median and 99th percentile of ``work`` in milliseconds."""
    took = []
    for _ in range(count):
        start = perf_counter()
        await work()
        took.append(1000 * (perf_counter() - start))
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


async def answer(bus: Bus, ready: anyio.Event) -> None:
    async with bus.subscribe("bench.question") as questions:
        ready.set()
        async for question in questions:
            await bus.publish("bench.answer", question)


async def measure_requests(here: Bus, there: Bus, count: int) -> Figures:
    async with anyio.create_task_group() as tasks, here.subscribe("bench.answer") as answers:
        ready = anyio.Event()
        tasks.start_soon(answer, there, ready)
        await ready.wait()

        async def request() -> None:
            await here.publish("bench.question", DATA)
            await anext(answers)

        cpu = process_time()
        p50, p99 = await timed(count, request)
        each = 1e6 * (process_time() - cpu) / count
        tasks.cancel_scope.cancel()
    return {"request p50 / p99": f"{p50:.2f} / {p99:.2f} ms", "request, CPU of both ends": f"{each:.0f} us"}


async def measure_messages(here: Bus, there: Bus, count: int) -> Figures:
    # In bursts, with an answer after each, so that the bounded buffer of the reader loses nothing.
    burst = 500
    async with there.subscribe("bench.flood") as flood:
        start, cpu = perf_counter(), process_time()
        for _ in range(count // burst):
            for _ in range(burst):
                await here.publish("bench.flood", DATA)
            for _ in range(burst):
                await anext(flood)
        took, busy = perf_counter() - start, process_time() - cpu
    return {"messages": f"{count / took:,.0f} /s", "message, CPU of both ends": f"{1e6 * busy / count:.0f} us"}


async def measure_stored(here: Bus, count: int) -> Figures:
    last = 0

    async def append() -> None:
        nonlocal last
        last = await here.append("offhook.log.bench", DATA, last=last)

    revision = await here.create("lease.bench", DATA)

    async def renew() -> None:
        nonlocal revision
        revision = await here.update("lease.bench", DATA, revision=revision)

    append_p50, append_p99 = await timed(count, append)
    renew_p50, renew_p99 = await timed(count, renew)
    start = perf_counter()
    entries = len(await here.read_log("offhook.log.bench"))
    read = 1000 * (perf_counter() - start)
    return {
        "append p50 / p99": f"{append_p50:.2f} / {append_p99:.2f} ms",
        "key p50 / p99": f"{renew_p50:.2f} / {renew_p99:.2f} ms",
        f"read a log of {entries}": f"{read:.0f} ms",
    }


async def measure(count: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            nats_server(Path(folder)) as url,
            open_bus(url, name="here") as here,
            open_bus(url, name="there") as there,
        ):
            return (
                await measure_requests(here, there, count)
                | await measure_messages(here, there, 10 * count)
                | await measure_stored(here, count)
            )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    direct = anyio.run(measure, count, backend="asyncio", backend_options={"use_uvloop": True})
    bridge = anyio.run(measure, count, backend="trio")
    print(f"{'':28} {'asyncio (uvloop)':>20} {'trio, bridge':>20}")
    for what, figure in direct.items():
        print(f"{what:28} {figure:>20} {bridge[what]:>20}")


if __name__ == "__main__":
    main()
