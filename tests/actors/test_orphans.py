"""Calls whose owner or voice node is gone: each gets one owner, and none waits for a node that will not come back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
from call_samples import OFFERED

from offhook.actors.capacity import OWNERS, Owner
from offhook.actors.lease import GATEWAYS, Lease
from offhook.actors.ports import Stored
from offhook.actors.registry import Registry
from offhook.actors.session import Report
from offhook.protocol import subjects
from offhook.protocol.call import Call, CallState, EndReason, LogEntry, fold
from offhook.protocol.call import events as ev
from offhook.protocol.messages import decode_entry, encode
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.world import SimulatedClock, run

CALL = "00000000-0000-4000-8000-000000000001"


class SlowReader(SimulatedClient):
    """What it reads of owners is ``lag`` seconds old when it arrives; it counts the calls it made its own."""

    adopted = 0
    lag = 0.0

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        written = await super().update(key, value, revision=revision)
        self.adopted += key.startswith(OWNERS)
        return written

    async def keys(self, prefix: str) -> list[Stored]:
        found = await super().keys(prefix)
        if prefix == OWNERS:
            await anyio.sleep(self.lag)
        return found


class SlowWriter(SlowReader):
    """To make a call its own takes it half a second."""

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        if key.startswith(OWNERS):
            await anyio.sleep(0.5)
        return await super().update(key, value, revision=revision)


@asynccontextmanager
async def gateways(*clients: SlowReader) -> AsyncIterator[list[Registry]]:
    registries = [Registry(f"gateway-{n}", bus=client, clock=SimulatedClock()) for n, client in enumerate(clients, 1)]
    async with anyio.create_task_group() as tasks:
        for registry in registries:
            tasks.start_soon(registry.run)
        yield registries
        tasks.cancel_scope.cancel()


def test_two_nodes_that_see_an_orphan_do_not_both_adopt_it() -> None:
    async def body() -> None:
        bus = SimulatedBus()
        clients = [SlowReader(bus, "gateway-1"), SlowReader(bus, "gateway-2")]
        # It looks before the other has adopted the call, and acts on what it saw after that.
        clients[1].lag = 0.75
        async with gateways(*clients) as registries:
            await anyio.sleep(2.5)
            entry = LogEntry(call=CALL, seq=1, at=SimulatedClock().now(), owner=1, event=OFFERED)
            ghost = bus.client("ghost")
            await ghost.append(subjects.log(CALL), encode(entry), last=0)
            await ghost.create(f"{OWNERS}{CALL}", msgspec.msgpack.encode(Owner("ghost")))
            await anyio.sleep(3)
            assert sum(client.adopted for client in clients) == 1
            assert sum(len(registry.calls) for registry in registries) == 1

    run(body)


def test_a_node_that_adopts_many_calls_slowly_keeps_its_lease() -> None:
    async def body() -> None:
        bus = SimulatedBus()
        clients = [SlowWriter(bus, "gateway-1"), SlowReader(bus, "gateway-2")]
        ghost = bus.client("ghost")
        calls = [f"00000000-0000-4000-8000-0000000000{number:02}" for number in range(20)]
        for call in calls:
            entry = LogEntry(call=call, seq=1, at=SimulatedClock().now(), owner=1, event=OFFERED)
            await ghost.append(subjects.log(call), encode(entry), last=0)
            await ghost.create(f"{OWNERS}{call}", msgspec.msgpack.encode(Owner("ghost")))
        async with gateways(*clients):
            for _ in range(40):
                await anyio.sleep(0.25)
                assert f"{GATEWAYS}gateway-1" in bus.kept

    run(body)


def test_a_call_whose_voice_node_died_waits_for_the_caller_and_is_lost_without() -> None:
    async def body() -> None:
        bus = SimulatedBus()
        async with gateways(SlowReader(bus, "gateway-1")) as (registry,):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_hold_lease, bus)
                await anyio.sleep(1)
                await registry.place(CALL, OFFERED)
                for event in (ev.MediaPrepared(sdp="v=0", node="voice-1"), ev.MediaConnected(), ev.AgentAnswered()):
                    registry._owned[CALL].mailbox.put(Report(event))
                await anyio.sleep(10)
                assert (await _state(bus)).state is CallState.ANSWERED
                tasks.cancel_scope.cancel()
            await anyio.sleep(10)
            call = await _state(bus)
            assert (call.state, call.left, call.node) == (CallState.RECONNECTING, CallState.ANSWERED, None)
            await anyio.sleep(35)
            call = await _state(bus)
            assert (call.state, call.reason, call.failure) == (CallState.ENDED, EndReason.LOST, None)

    run(body)


async def _hold_lease(bus: SimulatedBus) -> None:
    lease = Lease(bus.client("voice-1"), "node.voice.", "voice-1")
    await lease.join()
    while True:
        await anyio.sleep(1)
        await lease.renew()


async def _state(bus: SimulatedBus) -> Call:
    stored = await bus.client("observer").read_log(subjects.log(CALL))
    return fold(CALL, [decode_entry(message.subject, message.data) for message in stored])
