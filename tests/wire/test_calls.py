"""Whole calls over the real wire: a Python caller, the real processes, real speech."""

import anyio
import numpy as np
import pytest
from gateway_client import GatewayClient, open_client
from wire_stage import Speak, Stage

pytestmark = pytest.mark.anyio

#: Hz of what echo callers hum.
HUM = 440


def hum(seconds: float, rate: int = 16_000) -> bytes:
    wave = np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * HUM / rate) * 8000
    return bytes(wave.astype("<i2").tobytes())


def hums(client: GatewayClient) -> bool:
    """Whether the last half second that the caller heard is the hum."""
    pcm = np.frombuffer(b"".join(pcm for _, pcm in client.caller.heard[-25:]), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(pcm))
    return bool(pcm.std() > 1000 and abs(np.argmax(spectrum) / len(pcm) * 48_000 - HUM) < 10)


async def echo_call(stage: Stage) -> str:
    """A call in which the caller hears itself."""
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token(), mode="echo")
        client.caller.say(hum(3))
        await client.caller.wait_heard(100)
        assert hums(client)
        assert await client.hang_up() == 1000
    return call


async def talk(stage: Stage, speak: Speak) -> str:
    """A call that the agent ends."""
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token(), events=True)
        await client.hears("yes?")
        await client.say(speak("what are your opening hours"))
        assert (await client.wait_event("transcript", role="caller"))["text"] == "what are your opening hours"
        await client.hears("nine to five")
        await client.say(speak("good bye"))
        await client.hears("goodbye")
        assert (await client.wait_event("ended"))["reason"] == "agent_completed"
        assert await client.wait_closed() == 1000
        assert any(np.frombuffer(pcm, "<i2").std() > 300 for _, pcm in client.caller.heard)
    return call


@pytest.fixture(scope="module", autouse=True)
async def vanished(stage: Stage) -> str:
    """A call whose caller vanished, socket and media, before the first test: its grace period passes meanwhile."""
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token(), events=True)
        await client.hears("yes?")
        client.caller.vanish()
        client.drop()
    return call


async def test_the_agent_answers_and_says_goodbye(stage: Stage, speak: Speak) -> None:
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token(), events=True, caller="anna", metadata={"page": "prices"})
        await client.wait_event("ringing")
        await client.wait_event("answered")
        await client.wait_event("speaking")
        await client.hears("hello. yes?")
        await client.wait_event("listening")
        await client.say(speak("what are your opening hours"))
        await client.hears("nine to five")
        await client.say(speak("good bye"))
        assert (await client.wait_event("ended"))["reason"] == "agent_completed"
        assert await client.wait_closed() == 1000
        shown = [frame["data"] for frame in client.frames if frame["type"] == "event"]

    record = await stage.ended(call)
    assert (record["reason"], record["agent"], record["version"]) == ("agent_completed", "clerk", "1")
    assert [change["state"] for change in record["states"]] == ["connecting", "ringing", "answered", "ending", "ended"]
    lines = [(line["role"], line["text"]) for line in record["transcript"]]
    assert lines == [
        ("agent", "Hello. Yes?"),
        ("caller", "what are your opening hours"),
        ("agent", "We are open from nine to five. Yes?"),
        ("caller", "goodbye"),
        ("agent", "Goodbye."),
    ]
    assert lines == [(event["role"], event["text"]) for event in shown if event["event"] == "transcript"]
    numbers = [event["seq"] for event in shown]
    assert numbers == sorted(set(numbers))


async def test_an_echo_call_plays_the_caller_back(stage: Stage) -> None:
    record = await stage.ended(await echo_call(stage))
    assert (record["reason"], record["mode"]) == ("caller_hangup", "echo")
    assert not record["transcript"]


async def test_the_caller_hangs_up_while_the_agent_talks(stage: Stage) -> None:
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token("front-desk"), events=True)
        await client.wait_event("speaking")
        await client.caller.wait_heard(100)
        await client.send("close")
        ended = await client.wait_event("ended")
        assert await client.wait_closed() == 1000
    assert (ended["reason"], (await stage.ended(call))["reason"]) == ("caller_hangup", "caller_hangup")
    (line,) = (await stage.ended(call))["transcript"]
    assert line["interrupted"]
    assert line["text"].startswith("Hello")
    assert not line["text"].endswith("Riverside Studio.")


async def test_a_silent_caller_is_asked_and_then_let_go(stage: Stage) -> None:
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token("hasty"), events=True)
        await client.hears("yes?")
        await client.hears("hello?")
        await client.hears("goodbye then")
        assert (await client.wait_event("ended"))["reason"] == "silence"
        assert await client.wait_closed() == 1000
    assert (await stage.ended(call))["reason"] == "silence"


async def test_two_calls_at_once_do_not_mix(stage: Stage, speak: Speak) -> None:
    calls: list[str] = []

    async def one() -> None:
        calls.append(await talk(stage, speak))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        tasks.start_soon(one)
    for call in calls:
        said = [line["text"] for line in (await stage.ended(call))["transcript"] if line["role"] == "caller"]
        assert said == ["what are your opening hours", "goodbye"]


async def test_one_call_sid_is_one_call_on_whatever_socket(stage: Stage) -> None:
    token = stage.new_token()
    async with open_client(stage.signaling) as client, open_client(stage.signaling) as again:
        sdp = await client.caller.offer()
        await client.offer(token, sdp=sdp, callSid="order-4711", mode="echo")
        answer = await client.take_answer()
        await client.caller.wait_connected()
        await again.offer(token, sdp=sdp, callSid="order-4711", mode="echo")
        repeated = await again.wait_frame("answer")
        assert (repeated["sessionId"], repeated["data"]["sdp"]) == (client.session, answer)
        assert await client.hang_up() == 1000
        assert await again.wait_closed() == 1000
    async with open_client(stage.signaling) as late:
        await late.offer(stage.new_token(), callSid="order-4711")
        assert await late.wait_error() == ("INVALID_ARGUMENT", "invalid_state")


async def test_a_client_that_asks_for_no_events_sees_none(stage: Stage, speak: Speak) -> None:
    async with open_client(stage.signaling) as client:
        await client.call(stage.new_token())
        await client.caller.wait_heard(100)
        await client.say(speak("good bye"))
        assert await client.wait_closed() == 1000
        assert {frame["type"] for frame in client.frames} <= {"answer", "ice-candidate"}


async def test_a_caller_who_vanishes_is_lost_after_the_grace_period(stage: Stage, vanished: str) -> None:
    record = await stage.ended(vanished)
    assert record["reason"] == "lost"
    assert [change["state"] for change in record["states"]][-3:] == ["reconnecting", "ending", "ended"]
