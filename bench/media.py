"""What a call costs the media server, beside its peers: CPU, delay, set-up, memory, loss, calls on one core.

A load client (measure/load.py) on one core calls a server on another one, over loopback. offhook runs its media engine
in the loop of the voice role, with a signaling of its own (measure/media_server.py): gateway and bus are not in these
figures. Its calls are of three kinds: `echo` passes the caller's packets on, `agent` decodes and encodes all the time
as a conversation does, `parrot` says back what went through the decoder and its jitter buffer. Peers are echoes: the
example server of aiortc, a pipeline of pipecat, Janus. Figures are medians over the repetitions.

    python bench/media.py [quick] [--servers offhook-echo,...] [--repetitions 3] [--cores 0,1]
"""

import argparse
import gc
import os
import sys
import time
from dataclasses import dataclass, replace

import uvloop
from measure.figures import Progress, machine, print_result, summary
from measure.media_runs import RATE, Figures, Look, Runs
from measure.peers import NotHere, start, wait_ready
from measure.sounds import speech


@dataclass(frozen=True)
class Plan:
    """What is run on a server."""

    #: Calls of the ramp, until they are no longer held; the first is the one of the row "10 calls".
    steps: tuple[int, ...]
    setups: int = 15
    seconds: float = 4.0
    #: Seconds of the delay and loss probes; 0 leaves them out.
    probing: float = 8.0
    lossy: bool = True
    #: Whether CPU is looked at.
    costs: bool = True


FULL = {
    "offhook-echo": Plan((10, 60, 120, 220, 300, 360)),
    "offhook-agent": Plan((10, 60, 80, 110, 140), probing=0),
    "offhook-parrot": Plan((1,), setups=1, costs=False),
    "janus": Plan((10, 60, 120, 220, 300, 360)),
    "aiortc": Plan((10, 12, 14, 18)),
    "pipecat": Plan((10, 14, 18, 22)),
}
QUICK = {
    "offhook-echo": Plan((10, 80), setups=6, seconds=2.0, probing=2.5, lossy=False),
    "offhook-agent": Plan((10, 50), setups=1, seconds=2.0, probing=0),
    "offhook-parrot": Plan((1,), setups=1, costs=False, probing=3.0),
}
LOSSES = (0.05, 0.2)
#: Milliseconds of CPU in a second beyond which a server that does not hold its calls is full, and not just disturbed.
FULL_CORE = 850.0
#: What is measured, its unit, and how it is written.
ROWS = {
    "cpu_10_ms": ("CPU ms per call-second, 10 calls", "{:.1f}"),
    "cpu_full_ms": ("the same with the most calls", "{:.1f}"),
    "calls": ("most calls held on one core", "{:.0f}"),
    "cpu_calls": ("calls by CPU alone (1000 / ms)", "{:.0f}"),
    "delay_p50_ms": ("added delay p50, ms", "{:.1f}"),
    "delay_p99_ms": ("added delay p99, ms", "{:.1f}"),
    "setup_p50_ms": ("set-up to first packet p50, ms", "{:.0f}"),
    "memory_mb": ("memory per call, MB", "{:.2f}"),
    "loss_5_sound_percent": ("5 % loss: sound that comes back, %", "{:.1f}"),
    "loss_5_stall_ms": ("5 % loss: longest stall, ms", "{:.0f}"),
    "loss_20_sound_percent": ("20 % loss: sound that comes back, %", "{:.1f}"),
    "loss_20_stall_ms": ("20 % loss: longest stall, ms", "{:.0f}"),
}


async def measure(name: str, plan: Plan, packets: list[bytes], core: int) -> Figures:
    """All runs on one server that is started for them. Raises ``NotHere``."""
    server = start(name, core)
    try:
        await wait_ready(server)
        runs = Runs(server, packets)
        async with runs.pacing():
            return await _measure(runs, plan)
    finally:
        server.stop()


async def _measure(runs: Runs, plan: Plan) -> Figures:
    figures = await runs.set_up(plan.setups)
    await runs.grow(plan.steps[0])
    if plan.costs:
        figures["cpu_10_ms"] = (await runs.look(plan.seconds)).cpu
    if plan.probing:
        figures |= await runs.delay(plan.probing, probes=3)
        for loss in LOSSES if plan.lossy else ():
            figures |= await runs.lose(loss, plan.probing, probes=3)
    for calls in plan.steps[1:]:
        look = await _grown(runs, calls, plan.seconds)
        if look is None:
            break
        figures |= {"cpu_full_ms": look.cpu, "cpu_calls": 1000 / look.cpu, "memory_mb": runs.memory_per_call()}
        if look.held:
            figures["calls"] = look.calls
        elif look.cpu * look.calls > FULL_CORE:
            break
        if look.sent < RATE:
            print(f"the client sent only {look.sent:.1f} packets a second at {calls} calls", file=sys.stderr)
    return {"memory_mb": runs.memory_per_call()} | figures


async def _grown(runs: Runs, calls: int, seconds: float) -> Look | None:
    """So many calls, or None if they do not come up; a second look forgives what others did to the machine."""
    try:
        await runs.grow(calls)
    except ExceptionGroup as errors:
        if errors.split((TimeoutError, OSError))[1] is not None:
            raise
        return None
    look = await runs.look(seconds)
    return look if look.held else await runs.look(seconds)


#: By server and row: median, least and most of the repetitions.
Summary = dict[str, dict[str, dict[str, float]]]


def run(plans: dict[str, Plan], repetitions: int, cores: tuple[int, int]) -> tuple[Summary, dict[str, str]]:
    """All servers, again and again; returns the figures, and why a server was left out."""
    server_core, client_core = cores
    os.sched_setaffinity(0, {client_core})
    packets = speech()
    found: dict[str, list[Figures]] = {name: [] for name in plans}
    absent: dict[str, str] = {}
    progress = Progress(repetitions * len(plans))
    gc.freeze()
    for repetition in range(repetitions):
        for name, plan in plans.items():
            progress.step(f"{name}, repetition {repetition + 1} of {repetitions}")
            if name in absent:
                continue
            try:
                figures = uvloop.run(measure(name, plan, packets, server_core))
            except NotHere as reason:
                absent[name] = str(reason)
            else:
                found[name].append(figures)
                progress.say(", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    progress.end()
    return {
        name: {key: summary([one[key] for one in some if key in one], 3) for key in ROWS}
        for name, some in found.items()
        if some
    }, absent


def table(figures: Summary) -> str:
    """The medians, for people."""
    lines = [" " * 36 + "".join(f"{name:>16}" for name in figures)]
    for key, (what, form) in ROWS.items():
        cells = [form.format(rows[key]["median"]) if rows.get(key) else "-" for rows in figures.values()]
        lines.append(f"{what:36}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kind", nargs="?", default="full", choices=["full", "quick"], help="quick has no peers")
    parser.add_argument("--servers", help="only these, with commas between")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--most", type=int, default=1000, help="no more calls than this, for a machine that is busy")
    parser.add_argument("--probing", type=float, help="seconds of each probe of delay and loss")
    parser.add_argument("--cores", default="0,1", help="the core of the server and the one of the client")
    options = parser.parse_args()
    plans = QUICK if options.kind == "quick" else FULL
    wanted = options.servers.split(",") if options.servers else list(plans)
    unknown = [name for name in wanted if _plan(name, plans) is None]
    if unknown:
        parser.error(f"no such server: {', '.join(unknown)}; there are {', '.join(plans)}")
    server_core, client_core = map(int, options.cores.split(","))
    before, begun = machine(), time.monotonic()
    chosen = {name: _bounded(plan, options) for name in wanted if (plan := _plan(name, plans)) is not None}
    repetitions = options.repetitions or (1 if options.kind == "quick" else 3)
    servers, absent = run(chosen, repetitions, (server_core, client_core))
    print(table(servers))
    for name, reason in absent.items():
        print(f"{name} was left out: {reason}")
    took = round(time.monotonic() - begun)
    print_result("media", before, {"servers": servers, "absent": absent, "repetitions": repetitions, "seconds": took})


def _bounded(plan: Plan, options: argparse.Namespace) -> Plan:
    """A plan within what was asked for."""
    probing = min(plan.probing, options.probing) if options.probing else plan.probing
    steps = tuple(calls for calls in plan.steps if calls <= max(options.most, plan.steps[0]))
    return replace(plan, steps=steps, probing=probing)


def _plan(name: str, plans: dict[str, Plan]) -> Plan | None:
    """A server of offhook may name its loop: offhook-echo-asyncio."""
    return plans.get("-".join(name.split("-")[:2])) or plans.get(name)


if __name__ == "__main__":
    main()
