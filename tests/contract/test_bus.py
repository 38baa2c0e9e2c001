"""What every bus promises: the simulated one, the one on NATS, and the one on NATS behind the bridge to trio."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
import trio.testing

from offhook.actors.ports import MAX_BATCH, Batch, Bus, BusAway, KeyTaken, Stored, WrongRevision, WrongSequence
from offhook.services.bus import nats_server, open_bus
from offhook.simulation.bus import SimulatedBus, SimulatedClient

pytestmark = pytest.mark.anyio

T = TypeVar("T")

LOG = "offhook.log.a1"
ALL = "offhook.log.*"


class World:
    """A server that can go away and come back, and clients of it."""

    #: Seconds until a delivery comes again, where time is real.
    ack_wait = 1.0

    def connect(self, name: str) -> AbstractAsyncContextManager[Bus]:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError


class SimulatedWorld(World):
    def __init__(self) -> None:
        self.bus = SimulatedBus()
        self.clients: list[SimulatedClient] = []

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncIterator[Bus]:
        self.clients.append(self.bus.client(name))
        yield self.clients[-1]

    async def stop(self) -> None:
        for client in self.clients:
            client.away = True

    async def start(self) -> None:
        for client in self.clients:
            client.away = False


class NatsWorld(World):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = AsyncExitStack()
        self.port: int | None = None

    def connect(self, name: str) -> AbstractAsyncContextManager[Bus]:
        return open_bus(f"nats://127.0.0.1:{self.port}", name=name, ack_wait=self.ack_wait)

    async def stop(self) -> None:
        await self.server.aclose()

    async def start(self) -> None:
        url = await self.server.enter_async_context(nats_server(self.folder, port=self.port))
        self.port = int(url.rpartition(":")[2])


@pytest.fixture(params=["simulated", "nats", "bridge"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(kind: str) -> object:
    match kind:
        case "simulated":
            return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
        case "nats":
            return "asyncio", {"use_uvloop": True}
        case _:
            return "trio"


@pytest.fixture
async def world(kind: str, tmp_path: Path) -> AsyncIterator[World]:
    world = SimulatedWorld() if kind == "simulated" else NatsWorld(tmp_path)
    await world.start()
    yield world
    await world.stop()


async def take(messages: AsyncIterator[T], count: int) -> list[T]:
    with anyio.fail_after(60):
        return [await anext(messages) for _ in range(count)]


# ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_reach_whoever_listens_in_order(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        await a.publish("call.7.facts", b"nobody listens yet")
        await a.get("a.round.trip")
        async with (
            b.subscribe("call.7.facts") as exact,
            b.subscribe("call.*.facts") as star,
            a.subscribe("call.*") as not_us,
        ):
            for number in range(300):
                await a.publish("call.7.facts", b"%d" % number)
            await a.publish("call.end", b"end")
            expected = [b"%d" % number for number in range(300)]
            assert await take(exact, 300) == expected
            assert await take(star, 300) == expected
            assert await take(not_us, 1) == [b"end"]


async def test_one_of_a_group_gets_each_message(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b, AsyncExitStack() as open_:
        got: dict[str, list[bytes]] = {"a": [], "b": [], "other": [], "alone": []}
        members = {
            "a": await open_.enter_async_context(a.subscribe("open", group="voice")),
            "b": await open_.enter_async_context(b.subscribe("open", group="voice")),
            "other": await open_.enter_async_context(b.subscribe("open", group="records")),
            "alone": await open_.enter_async_context(a.subscribe("open")),
        }
        complete = anyio.Event()

        async def read(who: str) -> None:
            async for message in members[who]:
                got[who].append(message)
                if sum(map(len, got.values())) == 3 * 60:
                    complete.set()

        async with anyio.create_task_group() as tasks:
            for who in members:
                tasks.start_soon(read, who)
            for number in range(60):
                await b.publish("open", b"%d" % number)
            with anyio.fail_after(60):
                await complete.wait()
            tasks.cancel_scope.cancel()
        expected = sorted(b"%d" % number for number in range(60))
        assert sorted(got["a"] + got["b"]) == expected
        assert got["a"] and got["b"]
        assert sorted(got["other"]) == sorted(got["alone"]) == expected


async def test_a_busy_subscriber_loses_the_oldest(world: World) -> None:
    async with world.connect("a") as a, a.subscribe("audio") as busy, a.subscribe("fence") as fence:
        for number in range(1500):
            await a.publish("audio", b"%d" % number)
        await a.publish("fence", b"")
        await take(fence, 1)
        for _ in range(3):
            await a.get("a.round.trip")
        kept = [int(message) for message in await take(busy, 1024)]
        assert kept == list(range(1500 - 1024, 1500))


async def test_nothing_comes_after_the_subscription_is_closed(world: World) -> None:
    async with world.connect("a") as a, a.subscribe("x") as fence:
        async with a.subscribe("x") as first:
            await a.publish("x", b"1")
            await take(first, 1)
        await a.publish("x", b"2")
        assert await take(fence, 2) == [b"1", b"2"]
        with anyio.move_on_after(0.1) as scope:
            await anext(first)
        assert scope.cancelled_caught


@pytest.mark.parametrize("subject", ["", "a b", "a..b", "a.*", "a.>", "a\r\nPUB b 0"])
async def test_subjects_that_nats_does_not_have_are_refused(world: World, subject: str) -> None:
    async with world.connect("a") as a:
        with pytest.raises(ValueError, match="does not allow"):
            await a.publish(subject, b"")


# ── logs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_log_grows_only_at_its_end(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        assert await a.read_log(LOG) == []
        first = await a.append(LOG, b"created", last=0)
        elsewhere = await b.append("offhook.log.b2", b"created", last=0)
        second = await b.append(LOG, b"ringing", last=first)
        assert first < elsewhere < second
        for wrong in (0, first, elsewhere, second + 1):
            with pytest.raises(WrongSequence):
                await a.append(LOG, b"answered", last=wrong)
        log = await a.read_log(LOG)
        assert [(e.subject, e.data, e.revision) for e in log] == [(LOG, b"created", first), (LOG, b"ringing", second)]


async def test_of_two_owners_one_appends(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        outcomes: list[str] = []

        async def append(bus: Bus, name: str) -> None:
            try:
                await bus.append(LOG, name.encode(), last=0)
                outcomes.append(name)
            except WrongSequence:
                outcomes.append("refused")

        async with anyio.create_task_group() as tasks:
            for bus, name in ((a, "a"), (b, "b"), (a, "c"), (b, "d")):
                tasks.start_soon(append, bus, name)
        assert outcomes.count("refused") == 3
        (winner,) = (name for name in outcomes if name != "refused")
        assert [entry.data for entry in await a.read_log(LOG)] == [winner.encode()]


async def test_a_long_log_is_read_whole_and_in_order(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        last = other = 0
        for number in range(1200):
            last = await a.append(LOG, b"%d" % number, last=last)
            if number % 100 == 0:
                other = await a.append("offhook.log.b2", b"", last=other)
        log = await b.read_log(LOG)
        assert [entry.data for entry in log] == [b"%d" % number for number in range(1200)]
        assert log[-1].revision == last


async def test_an_erased_log_is_empty_and_the_others_stand(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        assert await a.erase_log(LOG) == 0
        last = 0
        for number in range(5):
            last = await a.append(LOG, b"%d" % number, last=last)
        other = await b.append("offhook.log.b2", b"kept", last=0)
        async with a.follow(ALL, reader="records") as batches:
            (first,) = await take(batches, 1)
            assert await b.erase_log(LOG) == 5
            assert await a.read_log(LOG) == []
            await first.ack()
        assert [entry.revision for entry in await a.read_log("offhook.log.b2")] == [other]
        with pytest.raises(WrongSequence):
            await a.append(LOG, b"a zombie", last=last)
        again = await a.append(LOG, b"again", last=0)
        assert again > other
        async with b.follow(ALL, reader="new") as batches:
            assert await take_acked(batches, 2) == [b"kept", b"again"]


@pytest.mark.parametrize("subject", ["offhook.call.a", "offhook.log", "offhook.log.a.b", "offhook.log.*", "x"])
async def test_other_subjects_are_no_logs(world: World, subject: str) -> None:
    async with world.connect("a") as a:
        with pytest.raises(ValueError, match=r"does not allow|is not the subject of a log"):
            await a.append(subject, b"", last=0)


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_are_compared_and_set(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        key = "lease.0b7f7c36-6f0e-4f5c-9d6d-0a8b1f3f8a11"
        assert await a.get(key) is None
        first = await a.create(key, b"a")
        with pytest.raises(KeyTaken):
            await b.create(key, b"b")
        second = await a.update(key, b"a again", revision=first)
        assert second > first
        for wrong in (first, second + 1, 0):
            with pytest.raises(WrongRevision):
                await b.update(key, b"b", revision=wrong)
            with pytest.raises(WrongRevision):
                await b.delete(key, revision=wrong)
        kept = await b.get(key)
        assert kept is not None and (kept.subject, kept.data, kept.revision) == (key, b"a again", second)


async def test_a_deleted_key_can_be_created_with_a_later_revision(world: World) -> None:
    async with world.connect("a") as a:
        first = await a.create("lease.x", b"1")
        await a.delete("lease.x", revision=first)
        assert await a.get("lease.x") is None
        assert await a.keys("lease.") == []
        for stale in (first, first + 5):
            with pytest.raises(WrongRevision):
                await a.update("lease.x", b"2", revision=stale)
        with pytest.raises(WrongRevision):
            await a.delete("lease.x", revision=first)
        revision = await a.create("lease.x", b"2")
        assert revision > first
        with pytest.raises(KeyTaken):
            await a.create("lease.x", b"3")
        kept = await a.get("lease.x")
        assert kept is not None and kept.data == b"2"


async def test_of_many_creators_one_wins(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        await a.delete("claim.jti.q_1-A=", revision=await a.create("claim.jti.q_1-A=", b""))
        outcomes: list[bool] = []

        async def create(bus: Bus) -> None:
            try:
                await bus.create("claim.jti.q_1-A=", b"")
                outcomes.append(True)
            except KeyTaken:
                outcomes.append(False)

        async with anyio.create_task_group() as tasks:
            for bus in (a, b, a, b, a, b):
                tasks.start_soon(create, bus)
        assert sorted(outcomes) == [False] * 5 + [True]


async def test_keys_are_listed_by_prefix(world: World) -> None:
    async with world.connect("a") as a:
        assert await a.keys("lease.") == []
        first = await a.create("lease.b", b"1")
        await a.create("lease.a", b"2")
        await a.create("lease.deep.c", b"3")
        await a.create("leased", b"4")
        await a.update("lease.b", b"5", revision=first)
        assert [(key.subject, key.data) for key in await a.keys("lease.")] == [
            ("lease.a", b"2"), ("lease.b", b"5"), ("lease.deep.c", b"3"),
        ]  # fmt: skip
        assert len(await a.keys("")) == 4


async def wait_gone(bus: Bus, key: str) -> None:
    with anyio.fail_after(60):
        while await bus.get(key) is not None:
            await anyio.sleep(0.1)


async def test_a_key_with_a_time_to_live_goes_away(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        first = await a.create("claim.x", b"1", ttl=1)
        kept = await a.create("claim.y", b"1", ttl=3600)
        with pytest.raises(KeyTaken):
            await b.create("claim.x", b"2")
        await wait_gone(b, "claim.x")
        assert [key.subject for key in await a.keys("claim.")] == ["claim.y"]
        with pytest.raises(WrongRevision):
            await a.update("claim.x", b"3", revision=first)
        with pytest.raises(WrongRevision):
            await a.delete("claim.x", revision=first)
        assert await b.create("claim.x", b"4", ttl=3600) > kept
        with pytest.raises(KeyTaken):
            await a.create("claim.x", b"5")


async def test_an_update_makes_a_key_stay(world: World) -> None:
    async with world.connect("a") as a:
        first = await a.create("claim.x", b"1", ttl=1)
        await a.create("claim.y", b"1", ttl=1.5)
        await a.update("claim.x", b"2", revision=first)
        await wait_gone(a, "claim.y")
        kept = await a.get("claim.x")
        assert kept is not None and kept.data == b"2"


@pytest.mark.parametrize("key", ["", "a b", "a..b", ".a", "a.", "a.*", "a:b", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_keys_that_nats_does_not_have_are_refused(world: World, key: str) -> None:
    async with world.connect("a") as a:
        with pytest.raises(ValueError, match="does not allow"):
            await a.create(key, b"")


# ── durable readers ────────────────────────────────────────────────────────────────────────────────────────────────


async def fill(bus: Bus, subject: str, words: list[bytes], last: int = 0) -> int:
    for word in words:
        last = await bus.append(subject, word, last=last)
    return last


async def take_acked(batches: AsyncIterator[Batch], count: int) -> list[bytes]:
    data: list[bytes] = []
    while len(data) < count:
        (batch,) = await take(batches, 1)
        data += [message.data for message in batch.messages]
        await batch.ack()
    return data


async def test_a_reader_gets_what_was_and_what_comes_in_order(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        last = await fill(a, LOG, [b"%d" % number for number in range(100)])
        async with b.follow(ALL, reader="records") as batches:
            assert await take_acked(batches, 100) == [b"%d" % number for number in range(100)]
            end = await a.append(LOG, b"new", last=last)
            (new,) = await take(batches, 1)
            assert list(new.messages) == [Stored(LOG, b"new", end)]
            await new.ack()


async def test_a_busy_follower_leaves_the_rest_to_others(world: World) -> None:
    world.ack_wait = 300.0
    async with world.connect("a") as a, world.connect("b") as b:
        await fill(a, LOG, [b"%d" % number for number in range(2 * MAX_BATCH + 100)])
        async with a.follow(ALL, reader="records") as busy:
            (held,) = await take(busy, 1)
            assert len(held.messages) <= MAX_BATCH
            # Long enough for all that comes meanwhile: one batch.
            await anyio.sleep(1)
            async with b.follow(ALL, reader="records") as batches:
                rest = await take_acked(batches, 100)
                assert not {message.data for message in held.messages} & set(rest)


async def test_a_reader_goes_on_where_it_was_and_others_begin(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        last = await fill(a, LOG, [b"1", b"2"])
        async with a.follow(ALL, reader="records") as batches:
            assert await take_acked(batches, 2) == [b"1", b"2"]
        await fill(a, LOG, [b"3"], last)
        async with b.follow(ALL, reader="records") as batches:
            assert await take_acked(batches, 1) == [b"3"]
        async with b.follow(ALL, reader="webhooks") as batches:
            assert await take_acked(batches, 3) == [b"1", b"2", b"3"]


async def test_what_a_dead_follower_did_not_ack_comes_again(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        last = await fill(a, LOG, [b"1"])
        async with b.follow(ALL, reader="records") as batches:
            assert await take_acked(batches, 1) == [b"1"]
            await fill(a, LOG, [b"2", b"3"], last)
            (taken,) = await take(batches, 1)
            assert taken.messages[0].data == b"2"
        async with a.follow(ALL, reader="records") as batches:
            assert sorted(await take_acked(batches, 2)) == [b"2", b"3"]


async def test_what_a_follower_did_not_look_at_is_there_for_the_next_at_once(world: World) -> None:
    world.ack_wait = 300.0
    async with world.connect("a") as a, world.connect("b") as b:
        last = await fill(a, LOG, [b"1"])
        async with b.follow(ALL, reader="records") as batches:
            assert await take_acked(batches, 1) == [b"1"]
            await fill(a, LOG, [b"2", b"3"], last)
            # Long enough for them to come.
            await anyio.sleep(0.2)
        async with a.follow(ALL, reader="records") as batches:
            assert sorted(await take_acked(batches, 2)) == [b"2", b"3"]


async def test_followers_of_one_reader_share(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b:
        got: list[bytes] = []
        complete = anyio.Event()

        async def follow(bus: Bus) -> None:
            async with bus.follow(ALL, reader="records") as batches:
                async for batch in batches:
                    got.extend(message.data for message in batch.messages)
                    await batch.ack()
                    if len(got) == 200:
                        complete.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, a)
            tasks.start_soon(follow, b)
            await fill(a, LOG, [b"%d" % number for number in range(200)])
            with anyio.fail_after(60):
                await complete.wait()
            tasks.cancel_scope.cancel()
        assert sorted(got) == sorted(b"%d" % number for number in range(200))


# ── the bus away, and cancellation ─────────────────────────────────────────────────────────────────────────────────


async def wait_away(bus: Bus) -> None:
    """Wait until the client has noticed."""
    with anyio.fail_after(10):
        while True:
            try:
                await bus.publish("any", b"")
            except BusAway:
                return
            await anyio.sleep(0.05)


async def wait_back(bus: Bus) -> None:
    with anyio.fail_after(60):
        while True:
            try:
                await bus.get("any")
            except BusAway:
                await anyio.sleep(0.05)
            else:
                return


async def test_while_the_bus_is_away_everything_raises_and_afterwards_all_is_there(world: World) -> None:
    async with world.connect("a") as a, world.connect("b") as b, b.subscribe("x.*") as messages:
        last = await a.append(LOG, b"1", last=0)
        revision = await a.create("lease.x", b"a")
        async with b.follow(ALL, reader="records") as batches:
            assert await take_acked(batches, 1) == [b"1"]
            await world.stop()
            await wait_away(a)
            await wait_away(b)
            for attempt in (
                lambda: a.publish("x.y", b"lost"),
                lambda: a.append(LOG, b"lost", last=last),
                lambda: a.read_log(LOG),
                lambda: a.create("lease.y", b""),
                lambda: a.update("lease.x", b"", revision=revision),
                lambda: a.delete("lease.x", revision=revision),
                lambda: a.get("lease.x"),
                lambda: a.keys("lease."),
            ):
                with pytest.raises(BusAway):
                    await attempt()
            with pytest.raises(BusAway):
                async with a.subscribe("x"):
                    pass
            async with a.follow(ALL, reader="later"):
                pass
            await world.start()
            await wait_back(a)
            await wait_back(b)
            await a.publish("x.y", b"found")
            assert await take(messages, 1) == [b"found"]
            assert [entry.data for entry in await b.read_log(LOG)] == [b"1"]
            last = await a.append(LOG, b"2", last=last)
            assert await take_acked(batches, 1) == [b"2"]
            await a.update("lease.x", b"b", revision=revision)


async def test_an_ack_while_the_bus_is_away_is_lost_quietly(world: World) -> None:
    async with world.connect("a") as a:
        await a.append(LOG, b"1", last=0)
        async with a.follow(ALL, reader="records") as batches:
            (batch,) = await take(batches, 1)
            await world.stop()
            await wait_away(a)
            await batch.ack()
            await world.start()
            assert await take_acked(batches, 1) == [b"1"]


async def test_waiting_can_be_cancelled(world: World) -> None:
    async with world.connect("a") as a:
        async with a.subscribe("x") as messages:
            with anyio.move_on_after(0.05) as scope:
                await anext(messages)
            assert scope.cancelled_caught
            await a.publish("x", b"still")
            assert await take(messages, 1) == [b"still"]
        async with a.follow(ALL, reader="records") as batches:
            with anyio.move_on_after(0.05) as scope:
                await anext(batches)
            assert scope.cancelled_caught
        with anyio.CancelScope() as now:
            now.cancel()
            await a.append(LOG, b"never", last=0)
        assert now.cancelled_caught
        with anyio.CancelScope() as now:
            now.cancel()
            async with a.subscribe("x"):
                pass
        assert now.cancelled_caught
        assert await a.keys("") == []


async def test_an_error_of_the_body_comes_out_as_it_is(world: World) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with world.connect("a") as a, a.subscribe("x"), a.follow(ALL, reader="records"):
            raise LookupError("mine")
