"""What a call costs the server: CPU seconds per second of a call, and memory, role by role.

Python WebRTC callers, in processes of their own, call a real `offhook up` on 127.0.0.1: 1, 5 and 10 at once. Three
kinds of call: the echo; the agent while it listens to a silent caller; the agent in a running conversation (the caller
asks something as soon as the agent has finished). CPU time is what the processes of the product used while all calls
ran, less what they use when idle; 1.0 is one core. On a machine that cannot keep up the callers suffer first: look at
the share of packets that arrived.

    python bench/call_cost.py [--calls 1,5,10] [--seconds 15]
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from measure.caller import MeasuredCaller, speak
from measure.figures import Progress, machine, print_result
from measure.processes import Process, by_name, memory_by_name, processes_below

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "wire"))
from gateway_client import open_client, token_for
from product import Product

#: An agent that listens for two minutes before it asks whether anybody is there.
PATIENT = """
id = "patient"
name = "A patient listener"
version = "1"
greeting = "Hello."

[brain]
kind = "flow"
start = "start"

[limits]
patience = 120

[repair]
silence = "Hello?"
silence_farewell = "Goodbye."

[intents.hours]
phrases = ["what are your opening hours"]
say = "We are open from nine to five."

[intents.bye]
phrases = ["goodbye"]

[nodes.start]
kind = "ask"
say = "Yes?"
on = { bye = "end" }

[nodes.end]
kind = "end"
say = "Goodbye."
"""
#: What the callers of a running conversation ask, again and again.
QUESTIONS = ("what are your opening hours",)
#: What the offer says besides, and whether the caller talks.
KINDS: dict[str, tuple[dict[str, str], bool]] = {
    "echo": ({"mode": "echo"}, False),
    "listening": ({}, False),
    "conversation": ({}, True),
}
#: Seconds until all calls of a run stand and greetings are over.
SETTLE = 6.0


@dataclass
class Cost:
    """One run."""

    kind: str
    calls: int
    #: CPU seconds per second of one call, by role.
    cpu: dict[str, float]
    #: MB of all processes while the calls run, by role.
    memory: dict[str, float]
    #: Packets of 20 ms that arrived at the callers, of those that should have.
    arrived: float

    def line(self) -> str:
        """For people."""
        parts = ", ".join(f"{name} {100 * cpu:.1f}" for name, cpu in self.cpu.items() if cpu > 0.0005)
        total, memory = 100 * sum(self.cpu.values()), sum(self.memory.values())
        return (
            f"{self.kind:13} {self.calls:3} calls: {total:5.1f} % of a core per call ({parts}), "
            f"{memory:.0f} MB in all, {100 * self.arrived:.0f} % of packets"
        )


# ── the callers' process ───────────────────────────────────────────────────────────────────────────────────────────


def run_callers(url: str, tokens: list[str], kind: str, seconds: float, pipe: Connection) -> None:
    """Call, tell when all calls stand, talk for ``seconds`` once told to, tell the share of packets that came."""
    asyncio.run(_run_callers(url, tokens, kind, seconds, pipe))


async def _run_callers(url: str, tokens: list[str], kind: str, seconds: float, pipe: Connection) -> None:
    ready, go = asyncio.Barrier(len(tokens) + 1), asyncio.Event()
    # A call that fails takes the others and this process with it: the measuring process sees the pipe's end.
    async with asyncio.TaskGroup() as tasks:
        callers = [tasks.create_task(_call(url, token, kind, seconds, ready, go)) for token in tokens]
        await ready.wait()
        await asyncio.sleep(SETTLE)
        pipe.send("ready")
        await asyncio.to_thread(pipe.recv)
        go.set()
    pipe.send(sum(caller.result() for caller in callers))


async def _call(url: str, token: str, kind: str, seconds: float, ready: asyncio.Barrier, go: asyncio.Event) -> float:
    members, talks = KINDS[kind]
    async with open_client(url) as client:
        caller = MeasuredCaller(client)
        await client.offer(token, sdp=await caller.offer_sdp(), **members)
        await client.take_answer()
        await client.caller.wait_connected(20)
        await ready.wait()
        await go.wait()
        before, begun = len(caller.arrived), time.monotonic()
        until = begun + seconds
        while talks and time.monotonic() < until:
            for question in QUESTIONS:
                await caller.wait_quiet(until - time.monotonic())
                if time.monotonic() < until:
                    await caller.wait_sound(await caller.say(speak(question)), until - time.monotonic())
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        came = (len(caller.arrived) - before) / ((time.monotonic() - begun) * 50)
        await client.hang_up()
        return came


# ── the measuring process ──────────────────────────────────────────────────────────────────────────────────────────


def measure(product: Product, kind: str, calls: int, seconds: float, idle: dict[str, float]) -> Cost:
    """One run."""
    agent = "front-desk" if kind == "conversation" else "patient"
    tokens = [token_for(product.folder / "data", agent) for _ in range(calls)]
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    callers = multiprocessing.get_context("spawn").Process(
        target=run_callers, args=(product.signaling, tokens, kind, seconds, theirs)
    )
    callers.start()
    theirs.close()
    try:
        ours.recv()
        first, begun = by_name(look(product, memory=False)), time.monotonic()
        ours.send("go")
        time.sleep(seconds - 1)
        last, took = by_name(look(product, memory=False)), time.monotonic() - begun
        full = look(product)
        came = ours.recv()
    finally:
        callers.join(60)
    cpu = {name: ((last[name] - first.get(name, 0.0)) / took - idle.get(name, 0.0)) / calls for name in last}
    return Cost(kind, calls, cpu, memory_by_name(full), came / calls)


def look(product: Product, *, memory: bool = True) -> list[Process]:
    """The product's processes now."""
    return processes_below(product.process.pid, memory=memory)


def measure_idle(product: Product, seconds: float) -> dict[str, float]:
    """CPU seconds per second without a call, by role."""
    first = by_name(look(product, memory=False))
    time.sleep(seconds)
    return {name: (cpu - first.get(name, 0.0)) / seconds for name, cpu in by_name(look(product, memory=False)).items()}


def run(counts: list[int], kinds: list[str], seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """All runs; prints and returns the figures."""
    progress = Progress(len(counts) * len(kinds) + 1)
    with tempfile.TemporaryDirectory() as folder:
        agents = Path(folder, "agents")
        agents.mkdir()
        (agents / "patient.toml").write_text(PATIENT)
        (agents / "front-desk.toml").write_bytes(FRONT_DESK.read_bytes())
        product = Product(Path(folder), "--agents", str(agents))
        try:
            time.sleep(3)
            progress.step("idle")
            idle = measure_idle(product, seconds)
            resting = memory_by_name(look(product))
            tell(f"idle: {100 * sum(idle.values()):.1f} % of a core, {sum(resting.values()):.0f} MB")
            costs: list[Cost] = []
            for kind in kinds:
                # Once unmeasured: the first call of a kind fills caches that stay.
                measure(product, kind, 1, 2.0, idle)
                for calls in counts:
                    progress.step(f"{kind}, {calls} calls")
                    cost = measure(product, kind, calls, seconds, idle)
                    costs.append(cost)
                    tell(cost.line())
                tell(f"{kind:13} {growth(costs, kind):.1f} MB for each further call")
        finally:
            product.stop()
    progress.end()
    return {
        "idle": {"cpu": rounded(idle), "memory": rounded(resting, 1)},
        "memory_per_call": {kind: round(growth(costs, kind), 2) for kind in kinds},
        "runs": [
            {
                "kind": cost.kind,
                "calls": cost.calls,
                "cpu": rounded(cost.cpu),
                "cpu_sum": round(sum(cost.cpu.values()), 4),
                "memory": rounded(cost.memory, 1),
                "arrived": round(cost.arrived, 3),
            }
            for cost in costs
        ],
    }


def growth(costs: list[Cost], kind: str) -> float:
    """MB for each further call of a kind, between its runs with the fewest and the most calls."""
    runs = sorted((cost.calls, sum(cost.memory.values())) for cost in costs if cost.kind == kind)
    (few, less), (many, more) = runs[0], runs[-1]
    return (more - less) / (many - few) if many > few else 0.0


def rounded(figures: dict[str, float], digits: int = 4) -> dict[str, float]:
    """Fit to be read."""
    return {name: round(value, digits) for name, value in figures.items()}


#: The demo agent.
FRONT_DESK = Path(__file__).parent.parent / "services/offhook/services/agents/front-desk.toml"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", default="1,5,10", help="calls at once, several with commas between")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of call")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a run")
    options = parser.parse_args()
    before = machine()
    counts = [int(count) for count in options.calls.split(",")]
    print_result("call_cost", before, run(counts, options.kinds.split(","), options.seconds, print))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent))
    main()
