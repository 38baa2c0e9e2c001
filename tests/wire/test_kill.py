"""``kill -9`` of each process in turn, without a call and in the middle of one; what stands still and goes on."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import pytest
from gateway_client import DROPPED, GatewayClient, open_client
from wire_stage import Speak, Stage, fetch_page

pytestmark = pytest.mark.anyio

ROLES = ("gateway", "voice", "records", "api", "nats-server")


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A product that these tests may disturb."""
    running = Stage(tmp_path_factory.mktemp("shaken"))
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def earlier() -> list[str]:
    """The calls so far."""
    return []


@asynccontextmanager
async def greeted(stage: Stage) -> AsyncIterator[GatewayClient]:
    """A caller whom the agent has greeted."""
    async with open_client(stage.signaling) as client:
        await client.call(stage.new_token(), events=True)
        await client.hears("yes?")
        yield client


async def short_call(stage: Stage, speak: Speak) -> str:
    """A call that the agent ends; returns its id."""
    async with greeted(stage) as client:
        await client.say(speak("good bye"))
        assert (await client.wait_event("ended"))["reason"] == "agent_completed"
        return client.session


def lines(record: dict[str, object]) -> list[tuple[str, str]]:
    transcript = record["transcript"]
    assert isinstance(transcript, tuple)
    return [(line["role"], line["text"]) for line in transcript]


SHORT = [("agent", "Hello. Yes?"), ("caller", "goodbye"), ("agent", "Goodbye.")]
WITH_HOURS = [
    ("agent", "Hello. Yes?"),
    ("caller", "what are your opening hours"),
    ("agent", "We are open from nine to five. Yes?"),
    ("caller", "goodbye"),
    ("agent", "Goodbye."),
]


@pytest.mark.parametrize("role", ROLES)
async def test_a_killed_role_is_back_and_the_next_call_works(
    shaken: Stage, speak: Speak, earlier: list[str], role: str
) -> None:
    await shaken.wait_back(await shaken.kill(role))
    earlier.append(await short_call(shaken, speak))
    assert await anyio.to_thread.run_sync(fetch_page, shaken.url)
    for call in earlier:
        record = await shaken.ended(call)
        assert (record["reason"], lines(record)) == ("agent_completed", SHORT)


async def test_a_call_outlives_its_gateway(shaken: Stage, speak: Speak) -> None:
    async with greeted(shaken) as client:
        call = client.session
        gateway = await shaken.kill("gateway")
        assert await client.wait_closed() == DROPPED
        await shaken.wait_back(gateway)
        heard = len(client.caller.heard)
        await client.say(speak("what are your opening hours"))
        await client.caller.wait_heard(heard + 150)
        await anyio.sleep(4)
        await client.say(speak("good bye"))
        record = await shaken.ended(call)
    assert (record["reason"], lines(record)) == ("agent_completed", WITH_HOURS)


async def test_a_call_outlives_its_voice_node_and_knows_what_was_said(shaken: Stage, speak: Speak) -> None:
    async with open_client(shaken.signaling) as client:
        call = await client.call(shaken.new_token("club"), events=True)
        await client.hears("which day")
        await client.say(speak("on tuesday"))
        await client.hears("tuesday")
        voice = await shaken.kill("voice")
        await client.wait_event("reconnecting")
        await client.offer_again()
        await client.wait_event("resumed")
        assert client.session == call
        await client.hears("so that is tuesday")
        assert len(client.caller.heard) > 50
        await client.say(speak("yes please"))
        assert (await client.wait_event("ended"))["reason"] == "agent_completed"
        record = await shaken.ended(call)
    await shaken.wait_back(voice)
    assert (record["reason"], lines(record)) == (
        "agent_completed",
        [
            ("agent", "Hello. Which day?"),
            ("caller", "on tuesday"),
            ("agent", "So that is Tuesday?"),
            ("agent", "So that is Tuesday?"),
            ("caller", "yes please"),
            ("agent", "See you on Tuesday."),
        ],
    )
    first, (second,) = record["recording"], record["recording"]["more"]
    assert (first["key"], first["seconds"]) == (f"{call}.ogg", None)
    assert second["seconds"] > 2
    for part in (first, second):
        assert (shaken.folder / "data" / "recordings" / part["key"]).stat().st_size > 1000


async def test_a_call_goes_on_after_its_voice_node_stood_still(shaken: Stage, speak: Speak) -> None:
    voice = shaken.processes()["voice"]
    async with greeted(shaken) as client:
        os.kill(voice, signal.SIGSTOP)
        try:
            # Longer than the lease of a gateway may stand.
            await anyio.sleep(4.5)
        finally:
            os.kill(voice, signal.SIGCONT)
        await anyio.sleep(2)
        assert client.closed is None, client.frames[-2:]
        await client.say(speak("good bye"))
        assert (await client.wait_event("ended"))["reason"] == "agent_completed"
        record = await shaken.ended(client.session)
    assert lines(record) == SHORT


@pytest.mark.parametrize("role", ["records", "nats-server"])
async def test_a_call_does_not_notice_and_its_record_is_complete(shaken: Stage, speak: Speak, role: str) -> None:
    async with greeted(shaken) as client:
        killed = await shaken.kill(role)
        heard = len(client.caller.heard)
        await client.say(speak("what are your opening hours"))
        await client.hears("nine to five")
        await shaken.wait_back(killed)
        await client.say(speak("good bye"))
        assert (await client.wait_event("ended"))["reason"] == "agent_completed"
        assert len(client.caller.heard) > heard + 150
        record = await shaken.ended(client.session)
    assert (record["reason"], lines(record)) == ("agent_completed", WITH_HOURS)


async def test_while_the_bus_stands_still_offers_are_refused_and_calls_go_on(shaken: Stage, speak: Speak) -> None:
    server = shaken.processes()["nats-server"]
    async with greeted(shaken) as client, open_client(shaken.signaling) as newcomer:
        token, sdp = shaken.new_token(), await newcomer.caller.offer()
        os.kill(server, signal.SIGSTOP)
        try:
            await newcomer.offer(token, sdp=sdp, mode="echo")
            assert await newcomer.wait_error() == ("HANDLER_ERROR", "unavailable")
            # Long enough to be taken for dead, if anybody who cannot see would judge.
            await anyio.sleep(5)
            assert client.closed is None and newcomer.closed is None
        finally:
            os.kill(server, signal.SIGCONT)
        heard = len(client.caller.heard)
        await client.caller.wait_heard(heard + 50)
        await client.say(speak("good bye"))
        assert (await client.wait_event("ended"))["reason"] == "agent_completed"
        # The same socket, and the same token: it was not spent.
        await newcomer.call(token, sdp=sdp, mode="echo")
        assert await newcomer.hang_up() == 1000
    assert lines(await shaken.ended(client.session)) == SHORT
