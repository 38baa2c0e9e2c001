"""Hostile datagrams to the media ports of a product on this machine, and the calls they should not disturb.

Two processes: one sends what strangers send (hostile_datagrams.py of the tests), at an even pace; the other holds the
calls, notes when the kernel took each packet for them, and sends damaged and replayed packets from its own addresses.
"""

import asyncio
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any

import msgspec
import numpy as np

from measure.light_caller import LightCaller, encode

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests" / "wire"))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests" / "services"))
from gateway_client import GatewayClient, open_client, token_for
from hostile_datagrams import strangers

#: Seconds between two bursts of the strangers.
BURST_EVERY = 0.002
#: Packets a second of each kind that each caller's own address sends: damaged, and replayed.
OWN = 10


class Heard(msgspec.Struct):
    """What the callers received in one phase."""

    #: 20 ms packets, of those that should have come.
    share: float
    #: Milliseconds between two packets of a call, over all calls.
    median: float
    p999: float
    longest: float
    #: How many of the pauses were longer than 40 ms.
    over_40: int
    #: CPU seconds of this process in a second.
    cpu: float


class Phase(msgspec.Struct):
    """What to measure next; no seconds: end."""

    seconds: float = 0.0
    hostile: bool = False


def send_strangers(targets: list[tuple[int, str]], rate: int, seconds: float, pipe: Connection) -> None:
    """Send ``rate`` datagrams a second to ``targets`` (port on 127.0.0.1, ICE user); tells how many of each kind."""
    datagrams = [
        (kind, datagram, port)
        for kinds in zip(*(strangers(user).items() for _, user in targets), strict=True)
        for (kind, (datagram, _)), (port, _) in zip(kinds, targets, strict=True)
    ]
    sent = dict.fromkeys((kind for kind, _, _ in datagrams), 0)
    begun, count, answers = time.monotonic(), 0, 0
    with socket(AF_INET, SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.setblocking(False)
        while (now := time.monotonic() - begun) < seconds:
            while count < now * rate:
                kind, datagram, port = datagrams[count % len(datagrams)]
                stranger.sendto(datagram, ("127.0.0.1", port))
                sent[kind] += 1
                count += 1
            time.sleep(BURST_EVERY)
        time.sleep(0.2)
        try:
            while stranger.recv(2048):
                answers += 1
        except BlockingIOError:
            pass
    pipe.send((sent, answers))


def hold_calls(url: str, data: str, calls: int, pipe: Connection) -> None:
    """Hold calls, half of them echoes; tells where they are, then does what each ``Phase`` says."""
    asyncio.run(_hold_calls(url, Path(data), calls, pipe))


async def _hold_calls(url: str, data: Path, calls: int, pipe: Connection) -> None:
    ready, done = asyncio.Barrier(calls + 1), asyncio.Event()
    lines: list[tuple[LightCaller, str]] = []
    silence = encode(bytes(640 * 50))

    async def call(number: int) -> None:
        async with open_client(url) as client:
            lines.append(await _open_call(client, token_for(data, "patient"), silence, echo=number % 2 == 0))
            await ready.wait()
            await done.wait()
            await client.hang_up()

    async with asyncio.TaskGroup() as tasks:
        for number in range(calls):
            tasks.create_task(call(number))
        await ready.wait()
        await asyncio.sleep(3)  # the greetings
        pipe.send([(caller.target[1], user) for caller, user in lines])
        callers = [caller for caller, _ in lines]
        while (phase := await asyncio.to_thread(pipe.recv)).seconds:
            pipe.send(await _measure(callers, phase))
        done.set()


async def _open_call(client: GatewayClient, token: str, silence: list[bytes], *, echo: bool) -> tuple[LightCaller, str]:
    caller = LightCaller(silence)
    await client.caller.close()
    client.caller = caller  # type: ignore[assignment]  # it has what the client needs
    await client.offer(token, **({"mode": "echo"} if echo else {}))
    answer = await client.take_answer()
    await caller.wait_connected(20)
    return caller, answer.partition("a=ice-ufrag:")[2].split()[0]


async def _measure(callers: list[LightCaller], phase: Phase) -> Heard:
    for caller in callers:
        caller.arrivals.times, caller.arrivals.keep = [], True
    begun, cpu = time.monotonic(), time.process_time()
    while (now := time.monotonic()) < begun + phase.seconds:
        if phase.hostile:
            for caller in callers:
                caller.send_raw(caller.last_sent)
                caller.send_raw(caller.last_sent[:-1] + b"\0" + caller.last_sent[:1])
        await asyncio.sleep(1 / OWN)
    for caller in callers:
        caller.arrivals.keep = False
    took, cpu = now - begun, time.process_time() - cpu
    times: list[Any] = [np.array(caller.arrivals.times) for caller in callers]
    gaps = np.concatenate([np.diff(of_one) for of_one in times]) * 1000
    return Heard(
        share=round(sum(map(len, times)) / (took * 50 * len(callers)), 4),
        median=round(float(np.median(gaps)), 2),
        p999=round(float(np.percentile(gaps, 99.9)), 2),
        longest=round(float(gaps.max()), 2),
        over_40=int((gaps > 40).sum()),
        cpu=round(cpu / took, 3),
    )
