"""Who owns a call: leases, adoption, and what a node that was taken for dead can still do (nothing)."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import msgspec
import pytest
import trio
import trio.testing

from offhook.actors.capacity import OWNERS, Owner
from offhook.actors.lease import GATEWAYS, Evicted, Lease, Watch
from offhook.actors.ports import BusAway, Stored
from offhook.actors.registry import Registry
from offhook.actors.session import OwnershipLost, Report, SessionActor
from offhook.protocol import subjects
from offhook.protocol.call import CallState, LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.messages import decode_entry, encode
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.world import SimulatedClock

CALL = "6f1c2d3e-0000-4000-8000-00000000000a"
OFFER = ev.Offered(agent="a", version="1", workspace="w", sdp="v=0", mode="traditional", max_duration=1800.0)
UP = (ev.MediaPrepared(sdp="v=0", node="voice-1"), ev.MediaConnected(), ev.AgentAnswered())


def simulate(scenario: Callable[[], Awaitable[None]]) -> None:
    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))


class Gateway:
    """A gateway node with nothing but its registry, and its voice node's lease beside it."""

    def __init__(self, bus: SimulatedBus, name: str) -> None:
        self.bus = bus.client(name)
        self.registry = Registry(name, bus=self.bus, clock=SimulatedClock())
        self.scope = anyio.CancelScope()

    async def run(self) -> None:
        with self.scope:
            await self.registry.run()

    async def answered(self, call: str = CALL) -> None:
        await self.registry.place(call, OFFER)
        for event in UP:
            self.registry._owned[call].mailbox.put(Report(event))
        await anyio.sleep(0.1)


async def keep_voice_alive(bus: SimulatedClient) -> None:
    lease = Lease(bus, "node.voice.", "voice-1")
    await lease.join()
    while True:
        await anyio.sleep(1)
        await lease.renew()


async def entries(bus: SimulatedBus, call: str = CALL) -> list[LogEntry]:
    stored = await bus.client("observer").read_log(subjects.log(call))
    return [decode_entry(message.subject, message.data) for message in stored]


def owner_of(bus: SimulatedBus) -> str:
    return msgspec.msgpack.decode(bus.kept[f"{OWNERS}{CALL}"].data, type=Owner).node


async def two_gateways(body: Callable[[SimulatedBus, Gateway, Gateway], Awaitable[None]]) -> None:
    bus = SimulatedBus()
    one, two = Gateway(bus, "gateway-1"), Gateway(bus, "gateway-2")
    async with anyio.create_task_group() as tasks:
        for run in (one.run, two.run):
            tasks.start_soon(run)
        tasks.start_soon(keep_voice_alive, bus.client("voice-1"))
        await anyio.sleep(5)
        await one.answered()
        await body(bus, one, two)
        tasks.cancel_scope.cancel()


def test_a_living_owner_keeps_its_call() -> None:
    async def body(bus: SimulatedBus, one: Gateway, two: Gateway) -> None:
        await anyio.sleep(600)
        assert (one.registry.calls, two.registry.calls, owner_of(bus)) == ((CALL,), (), "gateway-1")

    simulate(lambda: two_gateways(body))


def test_a_dead_owners_call_is_adopted_within_five_seconds_and_goes_on() -> None:
    async def body(bus: SimulatedBus, one: Gateway, two: Gateway) -> None:
        one.scope.cancel()
        await anyio.sleep(5)
        assert (two.registry.calls, owner_of(bus)) == ((CALL,), "gateway-2")
        assert two.registry._owned[CALL].call.state is CallState.ANSWERED
        two.registry.close()
        await anyio.sleep(0.5)
        story = await entries(bus)
        assert [entry.seq for entry in story] == list(range(1, len(story) + 1))
        assert story[-1].owner > story[0].owner

    simulate(lambda: two_gateways(body))


def test_an_owner_that_leaves_is_followed_at_once() -> None:
    async def body(bus: SimulatedBus, one: Gateway, two: Gateway) -> None:
        one.scope.cancel()
        await one.registry.leave()
        await anyio.sleep(1.5)
        assert two.registry.calls == (CALL,)

    simulate(lambda: two_gateways(body))


def test_an_owner_that_was_cut_off_loses_its_calls_and_takes_part_again() -> None:
    async def body(bus: SimulatedBus, one: Gateway, two: Gateway) -> None:
        one.bus.away = True
        await anyio.sleep(10)
        assert two.registry.calls == (CALL,)
        one.bus.away = False
        await anyio.sleep(5)
        assert (one.registry.calls, two.registry.calls, owner_of(bus)) == ((), (CALL,), "gateway-2")
        other = "6f1c2d3e-0000-4000-8000-00000000000b"
        await one.answered(other)
        await anyio.sleep(60)
        assert one.registry.calls == (other,)

    simulate(lambda: two_gateways(body))


def test_what_an_owner_forgot_it_adopts_itself() -> None:
    """A key that names this node, and no session here: its own write whose answer was lost."""

    async def body(bus: SimulatedBus, one: Gateway, _two: Gateway) -> None:
        other = "6f1c2d3e-0000-4000-8000-00000000000b"
        await one.bus.create(f"{OWNERS}{other}", msgspec.msgpack.encode(Owner("gateway-1")))
        await anyio.sleep(2)
        # Nobody has heard of that call: it ends at once, and its key with it.
        assert [type(entry.event) for entry in await entries(bus, other)] == [ev.TimedOut]
        assert f"{OWNERS}{other}" not in bus.kept
        assert one.registry.calls == (CALL,)

    simulate(lambda: two_gateways(body))


def test_an_ended_call_has_no_owner() -> None:
    async def body(bus: SimulatedBus, one: Gateway, _two: Gateway) -> None:
        one.registry._owned[CALL].mailbox.put(Report(ev.CallerHungUp()))
        await anyio.sleep(20)
        assert (await entries(bus))[-1].event.__class__ is ev.TimedOut
        assert one.registry.calls == ()
        assert f"{OWNERS}{CALL}" not in bus.kept

    simulate(lambda: two_gateways(body))


# ── fencing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_zombie_is_refused_by_the_sequence_of_the_log() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        zombie = SessionActor(CALL, bus=bus.client("zombie"), clock=SimulatedClock(), owner=1)
        heir = SessionActor(CALL, bus=bus.client("heir"), clock=SimulatedClock(), owner=2)
        for event in (OFFER, *UP):
            zombie.mailbox.put(Report(event))
        async with bus.client("observer").subscribe(subjects.agent(CALL)) as orders, anyio.create_task_group() as tasks:
            outcome: list[BaseException] = []

            async def run_zombie() -> None:
                try:
                    await zombie.run()
                except OwnershipLost as lost:
                    outcome.append(lost)

            tasks.start_soon(run_zombie)
            await anyio.sleep(0.1)
            tasks.start_soon(heir.run)
            await anyio.sleep(0.1)
            heir.mailbox.put(Report(ev.CallHeld()))
            await anyio.sleep(0.1)
            posted = [await anext(orders) for _ in range(3)]
            # The zombie has not seen that: its caller hangs up, it thinks.
            zombie.mailbox.put(Report(ev.CallerHungUp()))
            await anyio.sleep(0.1)
            assert len(outcome) == 1
            assert [type(entry.event) for entry in await entries(bus)][-1] is ev.CallHeld
            with anyio.move_on_after(0.1):
                posted.append(await anext(orders))
            assert not any(b"StopAgent" in data for data in posted)
            assert heir.call.state is CallState.HELD
            tasks.cancel_scope.cancel()

    simulate(scenario)


def test_an_append_whose_answer_was_lost_is_found_and_not_repeated() -> None:
    class Forgetful(SimulatedClient):
        forgets = True

        async def append(self, subject: str, data: bytes, *, last: int) -> int:
            revision = await super().append(subject, data, last=last)
            if self.forgets:
                self.forgets = False
                self.away = True
                self._require()
            return revision

    async def scenario() -> None:
        bus = SimulatedBus()
        client = Forgetful(bus, "gateway-1")
        session = SessionActor(CALL, bus=client, clock=SimulatedClock(), owner=1)
        session.mailbox.put(Report(OFFER))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.run)
            await anyio.sleep(2)
            client.away = False
            await anyio.sleep(2)
            assert [type(entry.event) for entry in await entries(bus)] == [ev.Offered]
            assert session.call.state is CallState.CONNECTING
            tasks.cancel_scope.cancel()

    simulate(scenario)


# ── leases ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_that_moves_is_alive_and_one_that_stands_is_buried_once() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        lease = Lease(bus.client("a"), GATEWAYS, "a")
        await lease.join()
        watches = [Watch(bus.client(f"watcher-{number}"), GATEWAYS) for number in range(2)]
        for _ in range(20):
            for watch in watches:
                assert set(await watch.living()) == {"a"}
            await lease.renew()
            await anyio.sleep(1)
        for second in range(5):
            living = [set(await watch.living()) for watch in watches]
            assert living[0] == living[1] == ({"a"} if second < 3 else set())
            await anyio.sleep(1)
        with pytest.raises(Evicted):
            await lease.renew()
        await lease.join()
        assert set(await watches[0].living()) == {"a"}

    simulate(scenario)


def test_a_node_that_renews_its_lease_while_it_is_judged_is_alive() -> None:
    class Late(SimulatedClient):
        """Whatever it reads is old when it acts on it."""

        async def keys(self, prefix: str) -> list[Stored]:
            found = await super().keys(prefix)
            await lease.renew()
            return found

    bus = SimulatedBus()
    lease = Lease(bus.client("a"), GATEWAYS, "a")

    async def scenario() -> None:
        await lease.join()
        watch = Watch(bus.client("watcher"), GATEWAYS)
        for _ in range(3):
            assert set(await watch.living()) == {"a"}
            await anyio.sleep(1)
        watch._bus = Late(bus, "watcher")
        assert set(await watch.living()) == {"a"}
        await lease.renew()

    simulate(scenario)


@pytest.mark.parametrize(("pause", "renewed_after"), [(1.8, 3), (2.5, 10)])
def test_time_in_which_a_watcher_did_not_look_counts_for_nothing(pause: float, renewed_after: int) -> None:
    """Both have too little time, and the node has the least of it."""

    async def scenario() -> None:
        bus = SimulatedBus()
        lease = Lease(bus.client("a"), GATEWAYS, "a")
        await lease.join()
        watch = Watch(bus.client("watcher"), GATEWAYS)
        for _ in range(5):
            for _ in range(renewed_after):
                assert set(await watch.living()) == {"a"}
                await anyio.sleep(pause)
            await lease.renew()

    simulate(scenario)


@pytest.mark.parametrize("after_it_was_done", [False, True])
def test_a_renewal_that_is_not_answered_is_made_up_for(after_it_was_done: bool) -> None:
    class Silent(SimulatedClient):
        """Does not answer the second renewal, as NATS does it: two seconds of silence."""

        asked = 0

        async def update(self, key: str, value: bytes, *, revision: int) -> int:
            self.asked += 1
            if self.asked != 2:
                return await super().update(key, value, revision=revision)
            if after_it_was_done:
                await super().update(key, value, revision=revision)
            await anyio.sleep(2)
            raise BusAway("no answer")

    def fail() -> None:
        pytest.fail("the node was taken for dead")

    async def scenario() -> None:
        bus = SimulatedBus()
        lease = Lease(Silent(bus, "a"), GATEWAYS, "a")
        await lease.join()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(lease.keep, evicted=fail))
            watch = Watch(bus.client("watcher"), GATEWAYS)
            await anyio.sleep(0.5)
            for _ in range(10):
                assert set(await watch.living()) == {"a"}
                await anyio.sleep(1)
            tasks.cancel_scope.cancel()

    simulate(scenario)


def test_two_watchers_do_not_bury_a_node_that_came_back() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        lease = Lease(bus.client("a"), GATEWAYS, "a")
        await lease.join()
        late = Watch(bus.client("late"), GATEWAYS)
        stale = await late._bus.keys(GATEWAYS)
        await lease.renew()
        # It decided upon what it read before the renewal.
        await late._bury("a", stale[0])
        await lease.renew()
        assert set(await late.living()) == {"a"}

    simulate(scenario)


def test_a_session_that_was_given_up_is_tried_again_after_a_while() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        gateway = Gateway(bus, "gateway-1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.run)
            tasks.start_soon(keep_voice_alive, bus.client("voice-1"))
            await anyio.sleep(0.1)
            await gateway.answered()
            healthy = gateway.bus.append

            async def broken(subject: str, data: bytes, *, last: int) -> int:
                raise RuntimeError("an adapter with a fault of its own")

            gateway.bus.append = broken  # type: ignore[method-assign]
            for _ in range(6):
                gateway.registry._owned[CALL].mailbox.put(Report(ev.FloorPassed(floor="speaking")))
            await anyio.sleep(5)
            assert list(gateway.registry.calls) == []
            gateway.bus.append = healthy  # type: ignore[method-assign]
            await anyio.sleep(20)
            assert list(gateway.registry.calls) == []
            await anyio.sleep(20)
            assert list(gateway.registry.calls) == [CALL]
            tasks.cancel_scope.cancel()

    simulate(scenario)


def test_what_the_owner_before_wrote_after_the_takeover_is_not_missed() -> None:
    """The new owner has only read; the old one, not told yet, appends once more: nothing has fenced it off."""

    async def scenario() -> None:
        bus = SimulatedBus()
        client = bus.client("observer")
        subject = subjects.log(CALL)

        async def write(seq: int, event: ev.Event, last: int) -> int:
            entry = LogEntry(call=CALL, seq=seq, at=SimulatedClock().now(), owner=1, event=event)  # type: ignore[arg-type]
            return await client.append(subject, encode(entry), last=last)

        revision = 0
        for number, event in enumerate((OFFER, *UP), start=1):
            revision = await write(number, event, revision)
        actor = SessionActor(CALL, bus=bus.client("gateway-2"), clock=SimulatedClock(), owner=2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(actor.run)
            await anyio.sleep(0.2)
            await write(5, ev.MediaLost(), revision)
            await anyio.sleep(3)
            assert actor.call.state.value == "reconnecting"
            tasks.cancel_scope.cancel()

    simulate(scenario)
