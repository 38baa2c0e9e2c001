"""One call, two faces (S5): what a caller lives through over the gateway protocol and over the session protocol."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from parrot import Birds

from offhook.protocol.call import EndReason
from offhook.protocol.errors import Reason
from offhook.simulation.world import SimulatedCall, World, open_world, run

Begin = Callable[[World], Awaitable[SimulatedCall]]


def act(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; one that waits for what never comes fails after ten virtual minutes."""

    async def bounded() -> None:
        with anyio.fail_after(600):
            await scenario()

    run(bounded)


async def over_the_gateway_protocol(world: World) -> SimulatedCall:
    return await world.dial("parrot", metadata={"cart": "7"})


async def over_the_session_protocol(world: World) -> SimulatedCall:
    return await world.join("parrot", metadata={"cart": "7"})


FACES = pytest.mark.parametrize("begin", [over_the_gateway_protocol, over_the_session_protocol])


@FACES
def test_a_conversation_to_its_polite_end(begin: Begin) -> None:
    """Covers S2, S3, S4, S5."""

    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await begin(world)
            await call.sees("answered")
            await call.hears("this is the parrot")
            await anyio.sleep(1)
            await call.says("polly wants a cracker")
            await call.hears("you said polly wants a cracker")
            await anyio.sleep(1)
            await call.says("bye")
            await call.hears("good bye and thank you")
            record = await call.ended()
            assert record.reason == EndReason.AGENT_COMPLETED
            assert (record.channel, record.agent, record.workspace) == ("web", "parrot", "simulated")
            assert record.metadata == {"cart": "7"}
            assert [entered.state.value for entered in record.states] == [
                "connecting", "ringing", "answered", "ending", "ended",
            ]  # fmt: skip
            assert [(line.role, line.text) for line in record.transcript] == [
                ("agent", "Hello, this is the parrot."),
                ("caller", "polly wants a cracker"),
                ("agent", "You said polly wants a cracker."),
                ("caller", "bye"),
                ("agent", "Good bye and thank you."),
            ]
            await call.socket.wait_closed()
            assert call.socket.closed == (1000, "agent_completed")
            shown = [(event["role"], event["text"]) for event in call.events if event["event"] == "transcript"]
            assert shown == [(line.role, line.text) for line in record.transcript]
            names = [event["event"] for event in call.events]
            assert names.count("answered") == names.count("ended") == 1 and names[-1] == "ended"
            assert {"speaking", "listening"} <= set(names)
            assert call.events[-1]["duration"] == pytest.approx(record.duration, abs=0.001)
            assert call.errors == []
            assert world.engine.open == 0

    act(scenario)


@FACES
def test_the_visitor_hangs_up(begin: Begin) -> None:
    """Covers S4."""

    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await begin(world)
            await call.hears("parrot")
            call.hang_up()
            assert (await call.ended()).reason == EndReason.CALLER_HANGUP
            await call.socket.wait_closed()
            assert call.events[-1]["event"] == "ended"

    act(scenario)


@FACES
def test_a_socket_that_breaks_leaves_the_call_to_its_audio(begin: Begin) -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await begin(world)
            await call.hears("parrot")
            call.socket.drop()
            await anyio.sleep(1)
            await call.says("still here")
            await call.hears("you said still here")
            call.handset.present = False
            assert (await call.ended()).reason == EndReason.LOST

    act(scenario)


@FACES
def test_the_gateway_dies_and_the_conversation_goes_on(begin: Begin) -> None:
    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            call = await begin(world)
            await call.hears("parrot")
            owner = next(name for name, node in world.nodes.items() if call.socket in node.sockets)
            world.kill(owner)
            await anyio.sleep(6)
            await call.says("still here")
            await call.hears("you said still here")
            await anyio.sleep(1)
            await call.says("bye")
            assert (await call.ended()).reason == EndReason.AGENT_COMPLETED

    act(scenario)


@FACES
def test_every_line_is_busy(begin: Begin) -> None:
    """Covers R4: the limit is shared by both protocols, and holds no longer than the calls live."""

    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            await world.limit("simulated", 2)
            first, second = await over_the_gateway_protocol(world), await over_the_session_protocol(world)
            await first.hears("parrot")
            await second.hears("parrot")
            third = await begin(world)
            with anyio.fail_after(5):
                while not third.errors:
                    await anyio.sleep(0.1)
            assert third.errors[0].get("reason", third.errors[0]["code"]) == Reason.AT_CAPACITY
            first.hang_up()
            await first.ended()
            await anyio.sleep(1)
            again = await begin(world)
            await again.hears("parrot")

    act(scenario)


@FACES
def test_a_call_that_was_adopted_still_takes_its_line(begin: Begin) -> None:
    """Covers R4."""

    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            await world.limit("simulated", 1)
            call = await over_the_gateway_protocol(world)
            await call.hears("parrot")
            world.kill(next(name for name, node in world.nodes.items() if call.socket in node.sockets))
            await anyio.sleep(6)
            another = await begin(world)
            await anyio.sleep(2)
            assert another.errors[0].get("reason", another.errors[0]["code"]) == Reason.AT_CAPACITY

    act(scenario)


def test_many_at_once_get_as_many_lines_as_there_are() -> None:
    """Covers R4: no more than the limit, and not fewer, though two gateways look at the same moment."""

    async def scenario() -> None:
        async with open_world(Birds(), gateways=2) as world:
            await world.limit("simulated", 3)
            calls: list[SimulatedCall] = []

            async def come(number: int) -> None:
                calls.append(await world.join("parrot") if number % 2 else await world.dial("parrot"))

            async with anyio.create_task_group() as tasks:
                for number in range(10):
                    tasks.start_soon(come, number)
            await anyio.sleep(3)
            assert sorted(len(call.errors) for call in calls) == [0] * 3 + [1] * 7
            assert world.engine.open == 3

    act(scenario)


async def closed(call: SimulatedCall) -> None:
    """Wait until the socket is closed and what it brought was read."""
    await call.socket.wait_closed()
    await anyio.sleep(0.1)


# ── joining ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_is_joined_once_with_its_own_token() -> None:
    """Covers S1."""

    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.join("parrot")
            await call.hears("parrot")
            again = await world.knock(call.id)
            again.socket.send_frame({"type": "auth", "token": f"parrot@{call.id}"})
            await closed(again)
            assert (again.errors[0]["code"], again.socket.closed and again.socket.closed[0]) == ("token_used", 4401)
            other = await world.knock("somewhere-else")
            other.socket.send_frame({"type": "auth", "token": f"parrot@{call.id}"})
            await closed(other)
            assert other.errors[0]["code"] == "token_wrong_session"
            nowhere = await world.knock("nowhere")
            nowhere.socket.send_frame({"type": "auth", "token": "parrot@nowhere"})
            await closed(nowhere)
            assert nowhere.errors[0]["code"] == "token_used"
            await call.says("hello again")
            await call.hears("you said hello again")

    act(scenario)


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_page_that_closes_its_socket_in_good_order_has_hung_up(code: int) -> None:
    """Covers S4."""

    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.join("parrot")
            await call.hears("parrot")
            await call.socket.close(code)
            assert (await call.ended()).reason == EndReason.CALLER_HANGUP

    act(scenario)


def test_who_says_nothing_is_not_waited_for() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.knock("session")
            await closed(call)
            assert (call.errors[0]["code"], call.socket.closed) == ("token_missing", (4401, "Auth token required"))

    act(scenario)


def test_frames_out_of_turn_and_bad_answers_are_refused_and_the_call_goes_on() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.knock("session")
            for frame, code in (
                ({"type": "answer", "sdp": "v=0"}, "invalid_state"),
                ({"type": "ice-candidate", "candidate": None}, "invalid_state"),
                ({"type": "answer"}, "invalid_field"),
                ({"type": "dance"}, "unknown_type"),
                ([], "invalid_json"),
            ):
                call.socket.send_frame(frame)  # type: ignore[arg-type]
                await anyio.sleep(0.1)
                assert call.errors.pop()["code"] == code, frame
            joined = await world.join("parrot")
            await joined.hears("parrot")
            joined.socket.send_frame({"type": "answer", "sdp": "v=0"})
            joined.socket.send_frame({"type": "auth", "token": f"parrot@{joined.id}"})
            await anyio.sleep(0.1)
            assert [error["code"] for error in joined.errors] == ["invalid_state", "invalid_state"]
            joined.hang_up()
            assert (await joined.ended()).reason == EndReason.CALLER_HANGUP

    act(scenario)
