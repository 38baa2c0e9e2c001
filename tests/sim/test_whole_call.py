"""Whole calls with the real actors, in virtual time."""

import anyio
from parrot import Birds

from offhook.protocol.call import EndReason
from offhook.simulation.world import SimulatedCall, open_world, run


def test_a_conversation_to_its_polite_end() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("this is the parrot")
            await anyio.sleep(1)
            await call.says("polly wants a cracker")
            await call.hears("you said polly wants a cracker")
            await anyio.sleep(1)
            await call.says("bye")
            await call.hears("good bye and thank you")
            record = await call.ended()
            assert record.reason == EndReason.AGENT_COMPLETED
            assert [(line.role, line.text) for line in record.transcript] == [
                ("agent", "Hello, this is the parrot."),
                ("caller", "polly wants a cracker"),
                ("agent", "You said polly wants a cracker."),
                ("caller", "bye"),
                ("agent", "Good bye and thank you."),
            ]
            assert [line.line for line in record.transcript] == [1, 2, 3, 4, 5]
            await call.socket.wait_closed()
            assert call.socket.closed == (1000, "agent_completed")
            names = [event["event"] for event in call.events]
            assert names[:2] == ["ringing", "answered"]
            assert names[-1] == "ended"
            assert "info" in names
            assert [event["seq"] for event in call.events] == sorted(event["seq"] for event in call.events)

    run(scenario)


def test_the_agent_stops_when_the_caller_speaks_and_the_transcript_holds_what_was_heard() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            await call.says("story")
            await call.hears("there was a bird")
            await call.says("stop please")
            assert not call.handset.hears_voice
            await call.hears("you said stop please")
            await anyio.sleep(1)
            call.hang_up()
            record = await call.ended()
            told = record.transcript[2]
            assert told.interrupted
            assert told.text.startswith("once upon a time there was a bird")
            assert "nobody" not in told.text
            assert record.reason == EndReason.CALLER_HANGUP

    run(scenario)


def test_a_cough_does_not_end_the_agents_words() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            await call.says("story")
            await call.hears("once upon")
            await call.coughs()
            await call.hears("nobody stopped it")
            await anyio.sleep(1)
            call.hang_up()
            record = await call.ended()
            assert not record.transcript[2].interrupted
            assert record.transcript[2].text.endswith("nobody stopped it")

    run(scenario)


def test_a_pause_inside_a_sentence_joins_its_halves() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            world.recognizer.delay = 0.6
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            await call.says("on tuesday")
            await anyio.sleep(0.6)
            await call.says("at three")
            await call.hears("you said on tuesday at three")
            call.hang_up()
            record = await call.ended()
            assert record.transcript[1].text == "on tuesday at three"

    run(scenario)


async def _greeted(call: SimulatedCall) -> None:
    await call.hears("parrot")
    await anyio.sleep(1)


def test_a_vanished_caller_is_lost_after_the_grace_period() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await _greeted(call)
            call.vanish()
            record = await call.ended()
            assert record.reason == EndReason.LOST
            assert [change.state for change in record.states][-3:] == ["reconnecting", "ending", "ended"]
            assert world.engine.open == 0

    run(scenario)


def test_an_agent_that_breaks_ends_its_call_and_no_other() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            other = await world.dial("parrot")
            call = await world.dial("parrot")
            await _greeted(call)
            await call.says("crash")
            record = await call.ended()
            assert record.reason == EndReason.FAILED
            assert call.errors[0]["code"] == "AGENT_FAILURE"
            await other.says("still here")
            await other.hears("you said still here")

    run(scenario)


def test_a_brain_that_takes_too_long_is_apologized_for() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await _greeted(call)
            await call.says("think")
            await call.hears("sorry")
            await anyio.sleep(3)
            await call.says("hello")
            await call.hears("you said hello")

    run(scenario)


def test_silence_makes_the_agent_ask() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await _greeted(call)
            await call.hears("are you still there", within=20)

    run(scenario)


def test_echo_mode_gives_the_caller_back_to_itself() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot", mode="echo")
            await call.sees("answered")
            await call.says("is there anybody")
            await call.hears("is there anybody")
            call.hang_up()
            record = await call.ended()
            assert record.transcript == ()

    run(scenario)


def test_the_longest_duration_ends_a_call() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.sees("answered")
            record = await call.ended(within=400)
            assert record.reason == EndReason.MAX_DURATION
            assert 300 <= record.duration < 301

    run(scenario)


def test_a_tool_is_logged_before_it_runs_and_answers() -> None:
    async def scenario() -> None:
        birds = Birds()
        async with open_world(birds) as world:
            call = await world.dial("parrot")
            await _greeted(call)
            await call.says("book")
            await call.hears("you are booked for tuesday")
            kinds = [type(entry.event).__name__ for entry in await world.log(call.id)]
            assert kinds.index("ToolCalled") < kinds.index("ToolReturned")
            assert birds.ran == [f"{call.id}:1"]

    run(scenario)


def test_a_tool_that_fails_is_told_to_the_brain() -> None:
    async def scenario() -> None:
        async with open_world(Birds(tool_fails=True)) as world:
            call = await world.dial("parrot")
            await _greeted(call)
            await call.says("book")
            await call.hears("that did not work")

    run(scenario)


def test_a_caller_who_speaks_while_a_tool_runs_does_not_make_it_run_twice() -> None:
    async def scenario() -> None:
        birds = Birds(tool_seconds=3.0)
        async with open_world(birds) as world:
            call = await world.dial("parrot")
            await _greeted(call)
            await call.says("book")
            await anyio.sleep(1)
            await call.says("hello")
            await call.hears("you said hello")
            assert birds.ran == [f"{call.id}:1"]
            record = await world.record(call.id)
            assert record is not None
            texts = [line.text for line in record.transcript if line.role == "caller"]
            assert texts == ["book", "hello"]

    run(scenario)
