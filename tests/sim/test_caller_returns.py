"""Callers who lose their socket, or reload their page, and come back to the same call (covers G11)."""

from typing import Any

import anyio
from parrot import Birds

from offhook.actors.claims import LIMBO
from offhook.protocol.call import EndReason, announced
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.world import SimulatedCall, World, open_world, run


class SlowBus(SimulatedBus):
    """A bus whose every operation takes its time, so that something can happen between two of them."""

    def client(self, name: str) -> SimulatedClient:
        return SlowClient(self, name)


class SlowClient(SimulatedClient):
    async def _reach(self) -> SimulatedBus:
        await anyio.sleep(0.02)
        return await super()._reach()


async def _dial(world: World) -> SimulatedCall:
    """A call whose frames are kept; the answer carries the token to come back with."""
    call = await world.dial("parrot")
    await call.hears("parrot")
    await anyio.sleep(1)
    return call


async def _come_back(world: World, call: SimulatedCall, token: str, seq: int) -> tuple[SimulatedCall, dict[str, Any]]:
    again = await world.connect()
    again.socket.send_frame({"type": "resume", "sessionId": call.id, "authToken": token, "data": {"seq": seq}})
    with anyio.fail_after(5):
        while not again.frames:
            await anyio.sleep(0.05)
    return again, again.frames[0]


def _token(call: SimulatedCall) -> str:
    token: str = next(frame for frame in call.frames if frame["type"] == "answer")["data"]["resumeToken"]
    return token


def test_the_same_call_goes_on_after_the_socket_is_lost_and_missed_events_arrive() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await _dial(world)
            seen = call.events[-1]["seq"]
            call.socket.drop()
            await call.says("hello")
            await call.hears("you said hello")
            await anyio.sleep(1)
            again, welcome = await _come_back(world, call, _token(call), seen)
            assert welcome["type"] == "resumed"
            assert welcome["sessionId"] == call.id
            assert welcome["data"]["state"] == "answered"
            await anyio.sleep(1)
            missed = [(event["event"], event.get("text")) for event in again.events]
            assert ("transcript", "hello") in missed
            assert ("transcript", "You said hello.") in missed
            assert all(event["seq"] > seen for event in again.events)
            await call.says("bye")
            await again.sees("ended")
            numbers = [event["seq"] for event in again.events]
            assert numbers == sorted(set(numbers))
            assert (await call.ended()).reason == EndReason.AGENT_COMPLETED

    run(scenario)


def test_whenever_the_caller_comes_back_it_is_told_everything_in_order_and_once() -> None:
    """The log is read and followed without a seam: what happens in between is neither lost nor told early."""

    async def scenario() -> None:
        async with open_world(Birds(), bus=SlowBus()) as world:
            call = await _dial(world)

            async def talk() -> None:
                for word in ("one", "two", "three", "four", "five", "six"):
                    await call.says(f"hello {word}")
                    await call.hears(f"you said hello {word}")

            told = list[dict[str, Any]]()
            here, token = call, _token(call)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk)
                for number in range(120):
                    await anyio.sleep(0.11 + 0.001 * number)
                    here.socket.drop()
                    told += here.events
                    here, welcome = await _come_back(world, call, token, told[-1]["seq"])
                    token = welcome["data"]["resumeToken"]
                    assert here.frames[0]["type"] == "resumed"
            await anyio.sleep(1)
            told += here.events
            log = await world.log(call.id)
            assert [event["seq"] for event in told] == [seq for seq, _ in announced(call.id, list(log), after=0)]

    run(scenario)


def test_a_token_to_come_back_counts_once_and_for_its_own_call() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call, other = await _dial(world), await _dial(world)
            _, refused = await _come_back(world, other, _token(call), 0)
            assert refused["data"]["code"] == "UNAUTHORIZED"
            again, welcome = await _come_back(world, call, _token(call), 0)
            assert welcome["type"] == "resumed"
            thief, refused = await _come_back(world, call, _token(call), 0)
            assert refused["data"]["code"] == "UNAUTHORIZED"
            assert thief.socket.closed == (4401, "Invalid authentication token")
            await anyio.sleep(1)
            assert call.socket.closed == (4409, "the call goes on with another connection")
            again.socket.drop()
            third, welcome = await _come_back(world, call, welcome["data"]["resumeToken"], 0)
            assert welcome["type"] == "resumed"
            assert third.socket.closed is None

    run(scenario)


def test_a_welcome_that_was_lost_costs_no_call() -> None:
    """The socket dies while the caller is let back in: it tries again with what it has."""

    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await _dial(world)
            for wait in (0.0, 0.001, 0.005, 0.01):
                again = await world.connect()
                frame = {"type": "resume", "sessionId": call.id, "authToken": _token(call), "data": {"seq": 0}}
                again.socket.send_frame(frame)
                await anyio.sleep(wait)
                again.socket.drop()
                await anyio.sleep(1)
            back, welcome = await _come_back(world, call, _token(call), 0)
            assert welcome["type"] == "resumed"
            await call.says("hello")
            await back.sees("transcript")

    run(scenario)


def test_an_offer_that_is_refused_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            await world.dial("parrot#1")
            before = {key for key in world.bus.kept if key.startswith("claim.")}
            for _ in range(3):
                refused = await world.dial("parrot#1")
                assert refused.errors[0]["reason"] == "token_used"
            assert {key for key in world.bus.kept if key.startswith("claim.")} == before

    run(scenario)


def test_a_reloaded_page_brings_new_media_and_the_agent_keeps_its_context() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await _dial(world)
            call.vanish()
            await anyio.sleep(6)
            record = await world.record(call.id)
            assert record is not None
            assert record.state == "reconnecting"
            again, welcome = await _come_back(world, call, _token(call), 0)
            token = welcome["data"]["resumeToken"]
            again.socket.send_frame(world.offer(again, token, sessionId=call.id))
            await again.sees("resumed")
            await again.says("i am back")
            await again.hears("you said i am back")
            assert world.engine.open == 1
            again.hang_up()
            record = await again.ended()
            assert record.reason == EndReason.CALLER_HANGUP
            states = [change.state for change in record.states]
            assert states[2:] == ["answered", "reconnecting", "answered", "ending", "ended"]

    run(scenario)


def test_new_media_takes_over_without_a_gap_in_the_states_while_the_old_one_lives() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await _dial(world)
            again, welcome = await _come_back(world, call, _token(call), 0)
            token = welcome["data"]["resumeToken"]
            again.socket.send_frame(world.offer(again, token, sessionId=call.id))
            await anyio.sleep(1)
            assert world.engine.open == 1
            await again.says("other phone")
            await again.hears("you said other phone")
            assert "reconnecting" not in [event["event"] for event in again.events]

    run(scenario)


def test_the_old_connection_carries_the_call_until_the_new_one_is_up() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await _dial(world)
            again, welcome = await _come_back(world, call, _token(call), 0)
            # Nobody takes the answer to the new offer, so the new connection never comes up.
            again.handset.accept("another answer")
            again.socket.send_frame(world.offer(again, welcome["data"]["resumeToken"], sessionId=call.id))
            await anyio.sleep(3)
            await call.says("hello")
            await call.hears("you said hello")

    run(scenario)


def test_an_ice_restart_is_refused_with_what_to_do() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await _dial(world)
            frame = world.offer(call, "parrot", sessionId=call.id)
            frame["data"]["sdp"] = frame["data"]["sdp"].replace("sim0", "new0")
            call.socket.send_frame(frame)
            await anyio.sleep(1)
            assert call.errors[0]["reason"] == "use_reattach"
            await call.says("hello")
            await call.hears("you said hello")

    run(scenario)


def test_a_call_sid_is_free_again_when_no_call_came_of_it() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            await world.dial("parrot#1")
            refused = await world.dial("parrot#1", callSid="mine")
            assert refused.errors[0]["reason"] == "token_used"
            call = await world.dial("parrot#2", callSid="mine")
            assert call.errors == []
            await call.hears("parrot")

    run(scenario)


def test_a_bus_that_goes_away_during_an_admission_uses_up_nothing() -> None:
    """The caller is told to try again, so it must be able to: with the same token and the same callSid."""

    async def scenario() -> None:
        async with open_world(Birds()) as world:
            bus = world.nodes["gateway-1"].bus
            create = bus.create

            async def create_and_lose(key: str, value: bytes, *, ttl: float | None = None) -> int:
                revision = await create(key, value, ttl=ttl)
                bus.away = key.startswith("claim.token")
                return revision

            bus.create = create_and_lose  # type: ignore[method-assign]
            refused = await world.dial("parrot#1", callSid="mine")
            assert refused.errors[0]["reason"] == "unavailable"
            bus.create, bus.away = create, False  # type: ignore[method-assign]
            # A call may still come of it, as far as anybody knows.
            early = await world.dial("parrot#1", callSid="mine")
            assert early.errors[0]["reason"] == "unavailable"
            await anyio.sleep(LIMBO)
            call = await world.dial("parrot#1", callSid="mine")
            assert call.errors == []
            await call.hears("parrot")
            # Now it is spent, and the callSid is that of a call.
            assert (await world.dial("parrot#1")).errors[0]["reason"] == "token_used"
            assert (await world.dial("parrot#2", callSid="mine")).errors == []

    run(scenario)
