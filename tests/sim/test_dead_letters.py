"""Whatever comes over the bus, no call dies of it, and what cannot be taken lies with the dead letters."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parrot import Birds

from offhook.actors.capacity import OWNERS
from offhook.actors.ports import Bus
from offhook.protocol import subjects
from offhook.protocol.call import CallState, EndReason
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.messages import (
    MAX_BYTES,
    AddCandidate,
    Body,
    CallerTyped,
    DeadLetter,
    Envelope,
    Taken,
    encode,
)
from offhook.simulation.world import SimulatedCall, World, open_world, run

OTHER = "00000000-0000-4000-8000-0000000000ff"
#: Where something is read as long as a call lives.
SUBJECTS: dict[str, Callable[[str], str]] = {
    "session": subjects.session,
    "signaling": subjects.signaling,
    "media": subjects.media,
    "agent": subjects.agent,
    "taken": lambda call: subjects.taken(call, "agent voice-1 1"),
    "open": lambda _call: subjects.OPEN_CALL,
}
#: A body that each subject takes.
TAKEN: dict[str, Body] = {
    "session": ev.FloorPassed(floor="listening"),
    "signaling": do.Announce(event="info", data={"name": "a", "data": "b"}),
    "media": AddCandidate("candidate:1 1 udp 1 192.0.2.1 9 typ host"),
    "agent": CallerTyped("hello"),
    "taken": Taken("nobody", 1),
    "open": do.OpenMedia(sdp="v=0", agent="nobody", version="1", mode="traditional"),
}


class Intruder:
    """Somebody on the bus who should not be there, and an operator who reads the dead letters."""

    def __init__(self, bus: Bus, call: str) -> None:
        self.bus = bus
        self.call = call
        self.letters: list[DeadLetter] = []

    async def send(self, where: str, data: bytes) -> str:
        subject = SUBJECTS[where](self.call)
        await self.bus.publish(subject, data)
        # Others wait between two messages, too; more than fit would push each other out.
        await anyio.sleep(0.001)
        return subject

    async def read(self, dead: AsyncIterator[bytes]) -> None:
        async for data in dead:
            self.letters.append(msgspec.msgpack.decode(data, type=DeadLetter))


@asynccontextmanager
async def a_call() -> AsyncIterator[tuple[World, SimulatedCall, Intruder]]:
    async with open_world(Birds()) as world:
        call = await world.dial("parrot")
        await call.hears("parrot")
        await anyio.sleep(1)
        bus = world.bus.client("intruder")
        intruder = Intruder(bus, call.id)
        async with bus.subscribe(subjects.DEAD_LETTERS) as dead, anyio.create_task_group() as tasks:
            tasks.start_soon(intruder.read, dead)
            yield world, call, intruder
            tasks.cancel_scope.cancel()


async def still_talks(call: SimulatedCall) -> None:
    await call.says("still here")
    await call.hears("you said still here")
    call.hang_up()
    record = await call.ended()
    assert record.reason == EndReason.CALLER_HANGUP


def reasons_for(where: str, data: bytes) -> str:
    """The reason with which one message is refused; empty if it is taken."""
    found: list[str] = []

    async def scenario() -> None:
        async with a_call() as (_, call, intruder):
            subject = await intruder.send(where, data)
            await anyio.sleep(1)
            found.extend(letter.reason for letter in intruder.letters)
            assert all(letter.subject == subject and letter.size == len(data) for letter in intruder.letters)
            await still_talks(call)

    run(scenario)
    # More than one may read a subject, and each says so.
    assert len(set(found)) <= 1
    return found[0] if found else ""


@pytest.fixture(scope="module")
def first() -> tuple[str, int]:
    """The id and the owner's epoch of the first call of every world."""
    found: list[tuple[str, int]] = []

    async def scenario() -> None:
        async with a_call() as (world, call, _):
            found.append((call.id, world.bus.kept[f"{OWNERS}{call.id}"].revision))

    run(scenario)
    return found[0]


@pytest.fixture(scope="module")
def mine(first: tuple[str, int]) -> str:
    return first[0]


@pytest.fixture(scope="module")
def owner(first: tuple[str, int]) -> int:
    return first[1]


everywhere = pytest.mark.parametrize("where", list(SUBJECTS))


@everywhere
@pytest.mark.parametrize(
    "junk", [b"", b"\xc1", b"hello", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000, b"\x81\xa4call\xa1x"]
)
def test_junk(where: str, junk: bytes) -> None:
    assert reasons_for(where, junk) == "malformed"


@everywhere
def test_a_message_that_is_cut_short_or_too_long(where: str, mine: str, owner: int) -> None:
    whole = encode(Envelope(call=mine, owner=owner, body=TAKEN[where]))
    assert reasons_for(where, whole[:-1]) == "malformed"
    assert reasons_for(where, whole + b"\0") == "malformed"
    assert reasons_for(where, whole.ljust(MAX_BYTES + 1, b"\0")) == "too_large"


def changed(envelope: Envelope, **fields: object) -> bytes:
    return msgspec.msgpack.encode(msgspec.to_builtins(envelope) | fields)


@everywhere
def test_fields_that_are_wrong_missing_or_new(where: str, mine: str, owner: int) -> None:
    whole = Envelope(call=mine, owner=owner, body=TAKEN[where])
    body = msgspec.to_builtins(whole.body)
    assert reasons_for(where, changed(whole, body=body | {"type": "Nonsense"})) == "malformed"
    assert reasons_for(where, changed(whole, body={"type": body["type"]})) in {"malformed", ""}
    for call in (7, "", "a.b", "*", "a b", f"{mine}\n", "x" * 65):
        assert reasons_for(where, changed(whole, call=call)) == "malformed"
    assert reasons_for(where, changed(whole, body=None)) == "malformed"
    # A newer minor version has more fields, a newer major one another number.
    assert reasons_for(where, changed(whole, body=body | {"mood": [1, {"a": None}]}, colour="blue")) == ""
    assert reasons_for(where, changed(whole, v=2, body="something new")) == "unsupported_version"


@everywhere
def test_what_has_no_business_there(where: str, mine: str, owner: int) -> None:
    strange: Body = ev.CallHeld() if where != "session" else CallerTyped("hello")
    assert reasons_for(where, encode(Envelope(call=mine, owner=owner, body=strange))) == "unexpected"
    if where != "open":
        assert reasons_for(where, encode(Envelope(call=OTHER, owner=owner, body=TAKEN[where]))) == "wrong_call"


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("signaling", do.Announce(event="ended")),
        ("media", do.CloseMedia()),
        ("agent", do.StopAgent()),
        ("taken", Taken("media", 1000)),
        ("open", TAKEN["open"]),
    ],
)
def test_an_order_that_nobody_signed(where: str, body: Body, mine: str) -> None:
    assert reasons_for(where, encode(Envelope(call=mine, owner=0, body=body))) == "no_owner"


def test_an_order_of_an_earlier_owner(mine: str, owner: int) -> None:
    async def scenario() -> None:
        async with a_call() as (_, call, intruder):
            for where in ("signaling", "media", "agent", "taken"):
                later = Envelope(call=mine, owner=owner + 2, body=TAKEN[where])
                if where in {"media", "agent"}:
                    later = Envelope(
                        call=mine, owner=owner + 2, body=do.HoldMedia() if where == "media" else do.HoldAgent()
                    )
                await intruder.send(where, encode(later))
            for where, order in (
                ("media", do.CloseMedia()),
                ("agent", do.StopAgent()),
                ("signaling", do.Announce(event="x")),
            ):
                await intruder.send(where, encode(Envelope(call=mine, owner=owner + 1, body=order)))
            await intruder.send("taken", encode(Envelope(call=mine, owner=owner + 1, body=Taken("media", 1000))))
            await anyio.sleep(1)
            # Two reporters and the signaling actor's listen to what was taken; each refuses for itself.
            assert {(letter.subject, letter.reason) for letter in intruder.letters} >= {
                (SUBJECTS[where](mine), "stale_owner") for where in ("signaling", "media", "agent", "taken")
            }
            assert not call.handset.hears_voice

    run(scenario)


def test_a_newer_version_is_kept_whole_and_junk_is_not(mine: str) -> None:
    async def scenario() -> None:
        async with a_call() as (_, call, intruder):
            newer = msgspec.msgpack.encode({"v": 2, "call": mine, "body": "x" * 5000})
            await intruder.send("agent", newer)
            await intruder.send("agent", b"\xc1" * 5000)
            await anyio.sleep(1)
            kept, junk = intruder.letters
            assert kept.data == newer
            assert (junk.size, len(junk.data)) == (5000, 1024)
            await still_talks(call)

    run(scenario)


def test_somebody_else_writes_into_the_log() -> None:
    async def scenario() -> None:
        async with a_call() as (world, call, intruder):
            subject = subjects.log(call.id)
            for junk in (b"junk", encode(Envelope(call=call.id, body=ev.CallHeld())), b""):
                world.bus.append(subject, junk, world.bus.last[subject])
                await call.says("still here")
                await call.hears("you said still here")
                await anyio.sleep(1)
            assert {(letter.subject, letter.reason) for letter in intruder.letters} == {(subject, "malformed")}
            call.hang_up()
            await anyio.sleep(10)
            stored = await intruder.bus.read_log(subject)
            states = [message for message in stored if b"MediaClosed" in message.data]
            assert len(states) == 1

    run(scenario)


def test_a_flood_of_good_messages_loses_reports_but_no_call(mine: str, owner: int) -> None:
    async def scenario() -> None:
        async with a_call() as (_, call, intruder):
            for where in ("session", "agent", "media", "signaling"):
                for number in range(1, 1001):
                    envelope = Envelope(call=mine, owner=owner, source="flood", number=number, body=TAKEN[where])
                    await intruder.bus.publish(SUBJECTS[where](mine), encode(envelope))
            await anyio.sleep(5)
            assert intruder.letters == []
            await call.hears("you said hello")
            call.hang_up()
            record = await call.ended()
            assert record.state is CallState.ENDED

    run(scenario)


# ── anything ───────────────────────────────────────────────────────────────────────────────────────────────────────


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
hostile = st.one_of(
    st.binary(max_size=300),
    plain.map(msgspec.msgpack.encode),
    st.builds(
        lambda call, body: msgspec.msgpack.encode({"v": 1, "call": call, "body": body}), st.just(OTHER) | plain, plain
    ),
)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(list(SUBJECTS)), hostile), min_size=1, max_size=40))
def test_any_bytes_on_any_subject(sent: list[tuple[str, bytes]]) -> None:
    async def scenario() -> None:
        async with a_call() as (_, call, intruder):
            for where, data in sent:
                await intruder.send(where, data)
            await anyio.sleep(1)
            found = [(letter.subject, letter.size, letter.data) for letter in intruder.letters]
            for where, data in sent:
                assert (SUBJECTS[where](call.id), len(data), data[:1024]) in found
            await still_talks(call)

    run(scenario)


@settings(max_examples=30)
@given(st.data())
def test_a_good_message_with_some_bytes_changed(owner: int, data: st.DataObject) -> None:
    """It may be taken or not; the call lives. (What would end it in good order is not among them.)"""

    async def scenario() -> None:
        async with a_call() as (_, call, intruder):
            for where in SUBJECTS:
                good = bytearray(encode(Envelope(call=call.id, owner=owner, body=TAKEN[where])))
                for _ in range(data.draw(st.integers(1, 4))):
                    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
                await intruder.send(where, bytes(good))
            await anyio.sleep(20)
            await call.says("still here")
            await call.hears("still here")

    run(scenario)
