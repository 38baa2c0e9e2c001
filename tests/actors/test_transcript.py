"""The transcript actor: nothing lost, nothing double, whatever is away, on a virtual clock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import msgspec
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.actors.transcript import READER, run_records
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.messages import DeadLetter, encode
from offhook.protocol.record import fold_record
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.call_logs import call_logs
from offhook.simulation.records import SimulatedRecords

A, B = "6f1c2d3e-0000-4000-8000-00000000000a", "6f1c2d3e-0000-4000-8000-00000000000b"


def simulate(scenario: Callable[[], Awaitable[None]]) -> None:
    trio.run(partial(_bounded, scenario), clock=trio.testing.MockClock(autojump_threshold=0))


async def _bounded(scenario: Callable[[], Awaitable[None]]) -> None:
    with anyio.fail_after(3600):
        await scenario()


class Writer:
    """Appends entries to logs, as session actors do."""

    def __init__(self, bus: SimulatedClient) -> None:
        self._bus = bus
        self._last: dict[str, int] = {}

    async def write(self, call: str, data: bytes) -> None:
        subject = subjects.log(call)
        self._last[call] = await self._bus.append(subject, data, last=self._last.get(call, 0))


@asynccontextmanager
async def following(
    server: SimulatedBus, records: SimulatedRecords, name: str = "records-1"
) -> AsyncIterator[SimulatedClient]:
    client = server.client(name)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_records, client, records)
        yield client
        tasks.cancel_scope.cancel()


def short_log(call: str) -> list[LogEntry]:
    happened: list[ev.CallEvent] = [
        ev.Offered(agent="front-desk", version="3", workspace="main", sdp="v=0", mode="traditional"),
        ev.MediaPrepared(sdp="v=0", node="voice-1"),
        ev.MediaConnected(),
        ev.AgentAnswered(),
        ev.Said(role="agent", text="Hello", line=1, began=5.0, ended=6.0),
        ev.CallerHungUp(),
        ev.AgentStopped(),
        ev.MediaClosed(),
    ]
    return [LogEntry(call=call, seq=seq, at=float(seq), owner=1, event=event) for seq, event in enumerate(happened, 1)]


def test_a_call_becomes_a_record() -> None:
    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        async with following(server, records):
            for entry in short_log(A):
                await writer.write(A, encode(entry))
            await anyio.sleep(1)
        assert records.call(A) == fold_record(A, short_log(A))

    simulate(scenario)


def test_entries_written_before_it_came_are_not_lost() -> None:
    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        for entry in short_log(A):
            await writer.write(A, encode(entry))
        async with following(server, records):
            await anyio.sleep(1)
        assert records.call(A) == fold_record(A, short_log(A))

    simulate(scenario)


def test_it_waits_for_a_store_that_is_away() -> None:
    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        records.away = True
        async with following(server, records):
            for entry in short_log(A):
                await writer.write(A, encode(entry))
            await anyio.sleep(300)
            assert records.calls() == []
            records.away = False
            await anyio.sleep(10)
        assert records.call(A) == fold_record(A, short_log(A))

    simulate(scenario)


def test_a_write_whose_outcome_is_not_known_is_not_doubled() -> None:
    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        async with following(server, records):
            for number, entry in enumerate(short_log(A)):
                records.forgetful = number % 2 == 0
                await writer.write(A, encode(entry))
                await anyio.sleep(1)
            records.forgetful = False
            await anyio.sleep(10)
        assert records.call(A) == fold_record(A, short_log(A))

    simulate(scenario)


def test_it_comes_back_when_the_bus_was_away() -> None:
    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        entries = short_log(A)
        async with following(server, records) as client:
            client.away = True
            for entry in entries[:5]:
                await writer.write(A, encode(entry))
            await anyio.sleep(60)
            client.away = False
            for entry in entries[5:]:
                await writer.write(A, encode(entry))
            await anyio.sleep(60)
        assert records.call(A) == fold_record(A, entries)

    simulate(scenario)


def test_what_cannot_be_read_is_a_dead_letter_and_the_call_goes_on() -> None:
    bad = {
        "malformed": [b"", b"\xc1", b"\x93\x01", encode({"call": A}), encode(short_log(A)[0])[:-1]],
        "wrong_call": [encode(short_log(B)[0])],
        "too_large": [b"x" * (256 * 1024 + 1)],
    }

    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer, letters = Writer(server.client("session")), list[DeadLetter]()
        entries = short_log(A)
        async with (
            server.client("operator").subscribe(subjects.DEAD_LETTERS) as dead,
            following(server, records),
        ):
            await writer.write(A, encode(entries[0]))
            for data in [data for group in bad.values() for data in group]:
                await writer.write(A, data)
            for entry in entries[1:]:
                await writer.write(A, encode(entry))
            await anyio.sleep(100)
            for _ in [data for group in bad.values() for data in group]:
                letters.append(msgspec.msgpack.decode(await anext(dead), type=DeadLetter))
            with anyio.move_on_after(100):
                raise AssertionError(f"a second letter: {await anext(dead)!r}")
        assert [letter.reason for letter in letters] == [reason for reason, group in bad.items() for _ in group]
        assert {letter.subject for letter in letters} == {subjects.log(A)}
        assert records.call(A) == fold_record(A, entries)

    simulate(scenario)


def test_times_and_positions_that_cannot_be_are_dead_letters() -> None:
    first = short_log(A)[0]
    wrong = [
        msgspec.structs.replace(first, at=float("nan")),
        msgspec.structs.replace(first, at=float("inf")),
        msgspec.structs.replace(first, seq=0),
        msgspec.structs.replace(first, seq=2**40),
    ]

    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        async with server.client("operator").subscribe(subjects.DEAD_LETTERS) as dead, following(server, records):
            for entry in wrong:
                await writer.write(A, encode(entry))
                assert msgspec.msgpack.decode(await anext(dead), type=DeadLetter).reason == "malformed"
        assert records.calls() == []

    simulate(scenario)


def test_an_entry_that_is_lost_for_good_does_not_leave_a_ghost() -> None:
    """One entry is unreadable: the call still comes to its end."""

    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        entries = short_log(A)
        async with following(server, records):
            for entry in entries:
                await writer.write(A, b"\xc1" if isinstance(entry.event, ev.Said) else encode(entry))
            await anyio.sleep(100)
        record = records.call(A)
        assert (record.state, record.reason) == (fold_record(A, entries).state, fold_record(A, entries).reason)
        assert record.transcript == ()

    simulate(scenario)


def test_all_that_a_dead_reader_held_comes_again_at_one_time() -> None:
    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer, dead = Writer(server.client("session")), server.client("dead")
        for entry in short_log(A):
            await writer.write(A, encode(entry))
        async with dead.follow(subjects.ALL_LOGS, reader=READER) as batches:
            assert len((await anext(batches)).messages) == len(short_log(A))
        async with following(server, records):
            await anyio.sleep(server.ack_wait + 1)
        assert records.call(A) == fold_record(A, short_log(A))

    simulate(scenario)


@settings(max_examples=60, deadline=None)
@given(call_logs(A), call_logs(B), st.data())
def test_two_readers_in_trouble_agree_with_the_logs(a: list[LogEntry], b: list[LogEntry], data: st.DataObject) -> None:
    """Two processes share the reader; entries interleave, and stores and bus come and go between any two of them."""
    trouble = st.sampled_from(["none", "none", "store", "forget", "cut 1", "cut 2", "kill 1", "wait"])
    steps = [(entry, data.draw(trouble)) for entry in _interleaved(a, b, data)]

    async def scenario() -> None:
        server, records = SimulatedBus(), SimulatedRecords()
        writer = Writer(server.client("session"))
        clients = [server.client("records-1"), server.client("records-2")]
        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()
            tasks.start_soon(_run_in, first, clients[0], records)
            tasks.start_soon(run_records, clients[1], records)
            for entry, kind in steps:
                records.away, records.forgetful = kind == "store", kind == "forget"
                clients[0].away, clients[1].away = kind == "cut 1", kind == "cut 2"
                if kind == "kill 1":
                    first.cancel()
                    first = anyio.CancelScope()
                    tasks.start_soon(_run_in, first, clients[0], records)
                await writer.write(entry.call, encode(entry))
                await anyio.sleep(7 if kind == "wait" else 0)
            records.away = records.forgetful = clients[0].away = clients[1].away = False
            # Long enough for what was not acknowledged to come again.
            await anyio.sleep(200)
            tasks.cancel_scope.cancel()
        written = {call: log for call, log in ((A, a), (B, b)) if log}
        assert records.calls() == sorted(written)
        for call, log in written.items():
            assert records.call(call) == fold_record(call, log)

    simulate(scenario)


async def _run_in(scope: anyio.CancelScope, client: SimulatedClient, records: SimulatedRecords) -> None:
    with scope:
        await run_records(client, records)


def _interleaved(a: list[LogEntry], b: list[LogEntry], data: st.DataObject) -> list[LogEntry]:
    turns = data.draw(st.permutations([0] * len(a) + [1] * len(b)))
    left = iter(a), iter(b)
    return [next(left[turn]) for turn in turns]
