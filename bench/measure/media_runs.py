"""The runs of the media benchmark on one server: set-up, cost, delay, loss, as many calls as it holds, memory."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from measure.load import FRAME, LoadCall, Pacer
from measure.peers import Server
from measure.sounds import bursts, delays, survived, tone

#: A server holds its calls when each gets so many packets a second and hardly any waits longer than this, seconds.
RATE, GAP = 49.5, 0.06
#: Calls that are set up at the same time, and the pause after each.
AT_ONCE, STAGGER = 4, 0.02
#: Seconds for calls to settle before they are looked at.
SETTLE = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")

Figures = dict[str, float]


@dataclass
class Look:
    """One look at a server and its calls."""

    calls: int
    #: CPU milliseconds of the server per second of one call.
    cpu: float
    #: The fewest packets a second that a call got, and the longest gap but for the worst hundredth, seconds.
    rate: float
    gap: float
    #: The fewest packets a second that were sent on a call: the client keeps up, or the figures mean nothing.
    sent: float

    @property
    def held(self) -> bool:
        """Whether every call was served."""
        return self.rate >= RATE and self.gap < GAP


class Runs:
    """The calls of one server. All run at the same time, until they are dropped."""

    def __init__(self, server: Server, speech: Sequence[bytes]) -> None:
        self._server = server
        self._speech = speech
        self._pacer = Pacer()
        self._calls: list[LoadCall] = []
        self._empty = 0.0

    @asynccontextmanager
    async def pacing(self) -> AsyncIterator[None]:
        """While the load is sent."""
        pace = asyncio.create_task(self._pacer.run())
        try:
            yield
        finally:
            await self.drop(self._calls)
            pace.cancel()
            await asyncio.wait([pace])

    async def set_up(self, count: int) -> Figures:
        """Calls one after another: from the offer to the first packet, milliseconds."""
        found = []
        for _ in range(count):
            call = await self._call(LoadCall(self._speech))
            found.append(1000 * call.setup)
            await self.drop([call])
        self._empty = memory(self._server.process.pid)
        return {"setup_p50_ms": float(np.median(found)), "setup_most_ms": max(found)}

    async def grow(self, count: int) -> None:
        """Open calls until there are so many. Raises what a call that fails raises."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(index: int) -> None:
            await asyncio.sleep(index * STAGGER)
            async with gate:
                await self._call(LoadCall(self._speech, seed=index))

        async with asyncio.TaskGroup() as tasks:
            for index in range(count - len(self._calls)):
                tasks.create_task(one(index))

    async def look(self, seconds: float) -> Look:
        """Watch all calls for a while."""
        await asyncio.sleep(SETTLE)
        before, spent, begun = [(len(c.arrivals), c.sent) for c in self._calls], self._cpu(), time.perf_counter()
        await asyncio.sleep(seconds)
        spent, took = self._cpu() - spent, time.perf_counter() - begun
        came = [c.arrivals[first:] for c, (first, _) in zip(self._calls, before, strict=True)]
        gaps = np.concatenate([np.diff(np.array(times)) for times in came] or [np.zeros(1)])
        return Look(
            calls=len(self._calls),
            cpu=1000 * spent / took / len(self._calls),
            rate=min(map(len, came)) / took,
            gap=float(np.percentile(gaps, 99)) if len(gaps) else 1.0,
            sent=min(c.sent - first for c, (_, first) in zip(self._calls, before, strict=True)) / took,
        )

    async def delay(self, seconds: float, probes: int) -> Figures:
        """What the server adds between a sound's way in and its way out, milliseconds."""
        frames = bursts(seconds)
        calls = []
        for index in range(probes):
            calls.append(await self._call(LoadCall(frames, probe=True)))
            await asyncio.sleep(FRAME * (index + 0.5) / probes)
        await asyncio.sleep(seconds)
        found = [1000 * delay for call in calls for delay in delays(call, frames)]
        await self.drop(calls)
        if not found:
            return {}
        return {"delay_p50_ms": float(np.percentile(found, 50)), "delay_p99_ms": float(np.percentile(found, 99))}

    async def lose(self, loss: float, seconds: float, probes: int) -> Figures:
        """Random loss on the way in: how much of a tone comes back, in percent, and the longest stall, milliseconds."""
        frames = tone(2.0, loss)
        calls = [await self._call(LoadCall(frames, probe=True, loss=loss, seed=seed)) for seed in range(probes)]
        await asyncio.sleep(2 * SETTLE)
        begin = time.perf_counter()
        await asyncio.sleep(seconds)
        found = [survived(call, begin, begin + seconds) for call in calls]
        await self.drop(calls)
        parts, stalls = zip(*found, strict=True)
        name = f"loss_{round(100 * loss)}"
        return {f"{name}_sound_percent": 100 * float(np.mean(parts)), f"{name}_stall_ms": 1000 * max(stalls)}

    def memory_per_call(self) -> float:
        """MB for each of the calls that stand, over what the server took before."""
        return (memory(self._server.process.pid) - self._empty) / len(self._calls)

    async def drop(self, calls: Sequence[LoadCall]) -> None:
        """Hang up."""
        for call in list(calls):
            self._pacer.remove(call)
            if call in self._calls:
                self._calls.remove(call)
            await call.close()

    async def _call(self, call: LoadCall) -> LoadCall:
        self._pacer.add(call)
        try:
            await call.connect(self._server.exchange)
        except BaseException:
            self._pacer.remove(call)
            raise
        self._calls.append(call)
        return call

    def _cpu(self) -> float:
        return cpu(self._server.process.pid)


def cpu(pid: int) -> float:
    """CPU seconds of a process and its threads: to the nanosecond, unless threads that have ended count, too."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    coarse = (int(words[11]) + int(words[12])) / _TICKS
    fine = sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9
    return coarse if abs(coarse - fine) > 0.1 + 0.02 * coarse else fine


def memory(pid: int) -> float:
    """Resident memory, MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
