"""kill -9 of the voice node that carries a call: the call goes on at another one, with the conversation it had."""

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import anyio
import pytest
from parrot import Birds

from offhook.actors.document_agents import DocumentAgents
from offhook.actors.lease import RENEW, VOICES
from offhook.actors.ports import BusAway
from offhook.actors.session import REPEAT
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent, EndReason
from offhook.protocol.call import events as ev
from offhook.protocol.call.table import ANSWER_WITHIN
from offhook.protocol.messages import Envelope, encode
from offhook.simulation.calls import SimulatedCall
from offhook.simulation.rehearsal import AGENT, Rehearsal
from offhook.simulation.world import World, open_world, run

CLUB = """
id = "club"
name = "The Tennis Club"
greeting = "Hello, this is the club."

[variables]
visitor = "you"

[brain]
kind = "flow"
start = "ask_day"

[tools.book]
description = "Put a game into the book."
parameters = { day = "the day" }

[slots.day]
type = "day"

[intents.yes]
phrases = ["yes"]

[nodes.ask_day]
kind = "ask"
say = "Which day shall it be?"
slot = "day"
answers = ["[on] {day}"]
next = "confirm"

[nodes.confirm]
kind = "ask"
say = "So you want to play on {day}?"
on = { yes = "book" }

[nodes.book]
kind = "tool"
tool = "book"
next = "booked"
failed = "unknown"

[nodes.booked]
kind = "end"
say = "You are booked for {day}. Goodbye."

[nodes.unknown]
kind = "end"
say = "I do not know whether {day} is booked. Goodbye."

[repair]
unclear = "Pardon?"
"""


class Book:
    """The tool of the club: slow if it is asked to be."""

    def __init__(self) -> None:
        self.seconds = 0.1
        self.booked: list[str] = []

    async def __call__(self, day: str) -> dict[str, str]:
        self.booked.append(day)
        await anyio.sleep(self.seconds)
        return {"day": day}


def club(book: Book) -> DocumentAgents:
    agents = DocumentAgents(tools={"book": book})
    agents.add(CLUB, file="club.toml")
    return agents


def carrier(world: World, call: SimulatedCall) -> str:
    """The voice node that has a call."""
    return next(name for name, node in world.nodes.items() if node.voice and call.id in node.voice.calls)


async def tell(world: World, call: SimulatedCall, event: CallEvent) -> None:
    """Somebody of the team reports ``event``."""
    await world.bus.client("desk").publish(subjects.session(call.id), encode(Envelope(call=call.id, body=event)))


async def lose_voice(world: World, call: SimulatedCall) -> None:
    """The call's voice node is killed; the page offers again when it is told so."""
    world.kill(carrier(world, call))
    await call.sees("reconnecting")
    call.offers_again()
    await call.sees("resumed")


def test_calls_of_a_dead_voice_node_go_on_at_another_and_those_of_others_do_not_notice() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), voices=2) as world:
            calls = [await world.dial("parrot") for _ in range(2)]
            for call in calls:
                await call.hears("parrot")
            await anyio.sleep(1)
            lost, other = sorted(calls, key=lambda call: carrier(world, call))
            await lose_voice(world, lost)
            # A brain that cannot go on says what it says to somebody who is silent; it does not greet again.
            await lost.hears("are you still there")
            assert "parrot" not in " ".join(lost.handset.words)
            for call in (lost, other):
                await call.says("hello")
                await call.hears("you said hello")
                await call.says("bye")
                record = await call.ended(within=20)
                assert record.reason == EndReason.AGENT_COMPLETED
            assert not any(isinstance(e.event, ev.VoiceLost) for e in await world.log(other.id))

    run(scenario)


async def ask_for_tuesday(world: World) -> SimulatedCall:
    """A call with the club that has come to its question whether Tuesday is right."""
    call = await world.dial("club")
    await call.hears("which day shall it be")
    await call.says("tuesday")
    await call.hears("so you want to play on tuesday")
    return call


def test_what_the_caller_has_answered_is_known_after_its_voice_node_died() -> None:
    async def scenario() -> None:
        book = Book()
        async with open_world(club(book), voices=2) as world:
            call = await ask_for_tuesday(world)
            await anyio.sleep(1)
            await lose_voice(world, call)
            await call.hears("so you want to play on tuesday")
            assert " ".join(call.handset.words) == "So you want to play on Tuesday?"
            await call.says("yes")
            await call.hears("you are booked for tuesday")
            record = await call.ended()
            assert (record.reason, book.booked) == (EndReason.AGENT_COMPLETED, ["tuesday"])
            said = [(line.role, line.text) for line in record.transcript]
            assert said == [
                ("agent", "Hello, this is the club. Which day shall it be?"),
                ("caller", "tuesday"),
                ("agent", "So you want to play on Tuesday?"),
                ("agent", "So you want to play on Tuesday?"),
                ("caller", "yes"),
                ("agent", "You are booked for Tuesday. Goodbye."),
            ]

    run(scenario)


def test_a_tool_that_was_running_is_not_used_again_and_counts_as_failed() -> None:
    async def scenario() -> None:
        book = Book()
        async with open_world(club(book), voices=2) as world:
            call = await ask_for_tuesday(world)
            book.seconds = 20.0
            await anyio.sleep(1)
            await call.says("yes")
            await anyio.sleep(3)
            assert book.booked == ["tuesday"]
            await lose_voice(world, call)
            await call.hears("i do not know whether tuesday is booked")
            assert (await call.ended()).reason == EndReason.AGENT_COMPLETED
            assert book.booked == ["tuesday"]

    run(scenario)


def test_a_call_on_hold_stays_on_hold_and_goes_on_after_it() -> None:
    async def scenario() -> None:
        async with open_world(club(Book()), voices=2) as world:
            call = await world.dial("club")
            await call.hears("which day shall it be")
            await anyio.sleep(1)
            await tell(world, call, ev.CallHeld())
            await call.sees("held")
            world.kill(carrier(world, call))
            await call.sees("reconnecting")
            call.offers_again()
            await anyio.sleep(3)
            assert call.events[-1]["event"] == "held"
            assert call.handset.on_hold and not call.handset.words
            await tell(world, call, ev.CallResumed())
            await call.hears("which day shall it be")
            await call.says("friday")
            await call.hears("play on friday")

    run(scenario)


def test_who_offers_again_does_not_wait_until_the_node_counts_as_dead_for_all() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), voices=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            world.kill(carrier(world, call))
            await anyio.sleep(1)
            call.offers_again()
            await call.sees("resumed", within=ANSWER_WITHIN + 0.5)
            await call.hears("are you still there")

    run(scenario)


def test_a_page_that_has_offered_when_the_loss_is_known_is_served_at_once() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), voices=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            first = carrier(world, call)
            world.kill(first)
            call.offers_again()
            await anyio.sleep(0.5)
            world.bus.remove(f"{VOICES}{first}")
            # With the next look of the gateway.
            await call.sees("resumed", within=RENEW + 0.3)

    run(scenario)


def test_one_voice_node_that_is_started_again_is_enough() -> None:
    """As ``offhook up`` does it."""

    async def scenario() -> None:
        async with open_world(club(Book())) as world:
            call = await world.dial("club")
            await call.hears("which day shall it be")
            await call.says("monday")
            await call.hears("play on monday")
            for number in (2, 3):
                await anyio.sleep(1)
                seen = len(call.events)
                world.kill(f"voice-{number - 1}")
                await anyio.sleep(9)
                call.offers_again()
                await anyio.sleep(3)
                # Nobody takes the offer yet; it stands.
                await world.start_voice(f"voice-{number}")
                await call.hears("play on monday", within=REPEAT + 3)
                assert [event["event"] for event in call.events[seen:]][:2] == ["reconnecting", "resumed"]
            await call.says("yes")
            assert (await call.ended()).reason == EndReason.AGENT_COMPLETED

    run(scenario)


def test_a_caller_who_does_not_come_back_is_lost() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), voices=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            world.kill(carrier(world, call))
            record = await call.ended(within=60)
            assert (record.reason, record.failure) == (EndReason.LOST, None)

    run(scenario)


def test_a_caller_of_the_session_protocol_cannot_offer_and_is_told_at_once() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), voices=2) as world:
            call = await world.join("parrot")
            await call.hears("parrot")
            world.kill(carrier(world, call))
            record = await call.ended(within=20)
            assert (record.reason, record.failure) == (EndReason.FAILED, "media_failed")

    run(scenario)


def test_each_voice_node_records_its_part() -> None:
    async def scenario() -> None:
        async with open_world(Birds(recorded=True), voices=2) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await lose_voice(world, call)
            await call.hears("parrot")
            call.hang_up()
            recording = (await call.ended()).recording
            assert recording is not None
            assert recording.keys == (f"{call.id}.ogg", *world.recorder.finished)
            assert len(recording.keys) == 2
            assert (recording.seconds is None, recording.more[0].seconds is None) == (True, False)

    run(scenario)


def test_what_an_agent_must_know_is_written_when_it_has_changed() -> None:
    async def scenario() -> None:
        async with open_world(club(Book())) as world:
            call = await world.dial("club")
            await call.hears("which day shall it be")
            for name, value, written in (("weather", "fine", 1), ("visitor", "Anna", 2), ("visitor", "Anna", 2)):
                call.socket.send_frame({"type": "info", "sessionId": call.id, "data": {"name": name, "data": value}})
                await anyio.sleep(1)
                kept = [e.event for e in await world.log(call.id) if isinstance(e.event, ev.MindKept)]
                assert len(kept) == written
            assert '"visitor":"Anna"' in kept[-1].mind

    run(scenario)


# ── nodes that only seemed to be dead ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("voices", [1, 2])
def test_a_node_that_was_frozen_for_too_long_does_no_harm(voices: int) -> None:
    async def scenario() -> None:
        book = Book()
        async with open_world(club(book), voices=voices) as world:
            call = await world.dial("club")
            await call.hears("which day shall it be")
            await call.says("tuesday")
            await call.hears("play on tuesday")
            first, handset = carrier(world, call), call.handset
            world.freeze(first)
            await call.sees("reconnecting")
            call.offers_again()
            await anyio.sleep(1)
            world.thaw(first)
            await call.hears("play on tuesday")
            heard = list(handset.words)
            await call.says("yes")
            await call.hears("you are booked")
            record = await call.ended()
            assert (record.reason, book.booked) == (EndReason.AGENT_COMPLETED, ["tuesday"])
            assert handset.words == heard
            assert [line.text for line in record.transcript if line.role == "caller"] == ["tuesday", "yes"]
            await anyio.sleep(15)
            assert world.engine.open == 0
            assert not any(node.voice.calls for node in world.nodes.values() if node.voice)

    run(scenario)


@pytest.mark.parametrize("voices", [1, 2])
def test_a_node_that_was_too_slow_for_one_call_lets_go_of_it(voices: int) -> None:
    """It does not count as dead for all, and keeps its lease."""

    async def scenario() -> None:
        async with open_world(club(Book()), voices=voices) as world:
            call = await world.dial("club")
            await call.hears("which day shall it be")
            await anyio.sleep(1)
            first = carrier(world, call)
            world.freeze(first)
            await anyio.sleep(1)
            call.offers_again()
            await anyio.sleep(ANSWER_WITHIN + 0.5)
            world.thaw(first)
            await call.sees("resumed", within=0.5)
            await call.hears("which day shall it be")
            await anyio.sleep(10)
            assert f"{VOICES}{first}" in world.bus.kept
            assert world.engine.open == 1
            assert sum(len(node.voice.calls) for node in world.nodes.values() if node.voice) == 1
            await call.says("friday")
            await call.hears("play on friday")

    run(scenario)


def test_a_lease_that_was_taken_from_a_living_node_moves_its_calls() -> None:
    async def scenario() -> None:
        async with open_world(club(Book()), gateways=2, voices=2) as world:
            calls = [await world.dial("club") for _ in range(4)]
            for call in calls:
                await call.hears("which day shall it be")
            await anyio.sleep(1)
            lost = [call for call in calls if carrier(world, call) == "voice-1"]
            world.bus.remove(f"{VOICES}voice-1")
            for call in lost:
                await call.sees("reconnecting", within=3)
                call.offers_again()
            for call in lost:
                await call.hears("which day shall it be")
            for call in calls:
                await call.says("friday")
                await call.hears("play on friday")
            assert world.engine.open == len(calls)

    run(scenario)


def test_a_node_of_which_no_gateway_saw_that_it_was_buried_says_so_itself() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            node = world.nodes["voice-1"].voice
            assert node is not None
            node._lose_all()
            await call.sees("reconnecting", within=1)
            call.offers_again()
            await call.hears("are you still there")
            await call.says("hello")
            await call.hears("you said hello")

    run(scenario)


def test_words_that_were_cut_are_not_said_again() -> None:
    """The reply was not complete when it was cut; what the agent knows of it is kept all the same."""

    async def scenario() -> None:
        async with open_world(Rehearsal(random.Random(1)), voices=2) as world:
            call = await world.dial(AGENT)
            await call.hears("a1 a2 a3")
            await anyio.sleep(1)
            await call.says("c1 story")
            await call.hears("a4")
            await tell(world, call, ev.CallHeld())
            await anyio.sleep(1)
            world.kill(carrier(world, call))
            await call.sees("reconnecting")
            call.offers_again()
            await anyio.sleep(1)
            await tell(world, call, ev.CallResumed())
            await call.hears("a14 a15")
            assert not {"a4", "a5"} & set(call.handset.words)

    run(scenario)


def test_a_node_that_cannot_reach_the_bus_when_a_call_comes_leaves_it_and_lives_on() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            client = world.nodes["voice-1"].bus
            healthy, failed = client.subscribe, list[str]()

            def subscribe(
                subject: str, *, group: str | None = None
            ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
                if "taken" in subject and not failed:
                    failed.append(subject)
                    raise BusAway("cut off")
                return healthy(subject, group=group)

            client.subscribe = subscribe  # type: ignore[method-assign,assignment]
            call = await world.dial("parrot")
            await call.hears("parrot")
            assert failed

    run(scenario)
