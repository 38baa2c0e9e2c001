"""An operator holds, resumes and ends a call from the command line: covers H1 (hold, resume, end), W5 (on hold)."""

import re

import anyio.to_thread
import numpy as np
import pytest
from gateway_client import GatewayClient, open_client
from webrtc_caller import RATE
from wire_stage import Speak, Stage

from offhook.actors.operator import Order
from offhook.protocol.errors import OffhookError
from offhook.services.cli.operating_calls import order_call

pytestmark = pytest.mark.anyio


async def order(stage: Stage, call: str, order: Order) -> str:
    """What the command does, without a process of its own."""
    return await order_call(stage.folder / "data", None, call, order)


async def refusal(stage: Stage, call: str, order: Order) -> str:
    """The sentence with which an order is refused."""
    with pytest.raises(OffhookError) as caught:
        await order_call(stage.folder / "data", None, call, order)
    return str(caught.value)


async def heard_now(client: GatewayClient, seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What the caller hears in the next seconds."""
    heard = client.caller.heard
    # What is under way when it begins, and what the caller's own buffer holds, is left out.
    begin = len(heard) + 25
    await client.caller.wait_heard(begin + int(seconds * 50), timeout=20)
    return np.frombuffer(b"".join(pcm for _, pcm in heard[begin:]), "<i2").astype(np.float64)


def level(sound: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.sqrt(np.mean(sound**2)))


async def test_a_caller_is_put_on_hold_and_taken_off_it_and_the_call_is_ended(stage: Stage, speak: Speak) -> None:
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token("patient"), events=True)
        await client.hears("yes?")
        assert "is not on hold" in await refusal(stage, call, "resume")
        assert level(await heard_now(client, 0.5)) < 10

        printed = await anyio.to_thread.run_sync(stage.run, "calls", "hold", call[:8])
        assert "on hold" in printed
        await client.wait_event("held")
        music = await heard_now(client, 2.0)
        assert level(music) > 100
        # A tone of the melody, not noise: most of the energy lies in one narrow band.
        power = np.abs(np.fft.rfft(music)) ** 2
        peak = int(power.argmax())
        width = round(40 * len(music) / RATE)
        assert power[max(0, peak - width) : peak + width].sum() > 0.2 * power.sum()
        assert 200 < peak * RATE / len(music) < 1200
        # Nobody hears what is said now.
        await client.say(speak("what are your opening hours"))
        assert "is on hold already" in await refusal(stage, call, "hold")

        assert "goes on" in await order(stage, call, "resume")
        await client.wait_event("resumed")
        await client.say(speak("what are your opening hours"))
        await client.hears("nine to five")

        assert "was ended" in await order(stage, call, "end")
        assert (await client.wait_event("ended"))["reason"] == "operator_hangup"
        assert await client.wait_closed() == 1000
    record = await stage.ended(call)
    assert record["reason"] == "operator_hangup"
    assert [line["text"] for line in record["transcript"] if line["role"] == "caller"] == [
        "what are your opening hours"
    ]
    states = [change["state"] for change in record["states"]]
    assert states == ["connecting", "ringing", "answered", "held", "answered", "ending", "ended"]
    assert "has ended" in await refusal(stage, call, "hold")
    assert "There is no call" in await refusal(stage, "no-such-call", "end")


async def test_a_call_is_ordered_from_another_machine(stage: Stage) -> None:
    """With nothing but the address of the server and a secret key."""
    arguments = ("--kind", "secret", "--name", "operator", "--scope", "calls:write", "--scope", "calls:read")
    key = await anyio.to_thread.run_sync(stage.run, "keys", "create", *arguments)
    there = ("--server", stage.url, "--key", re.findall(r"sk_live_[\w-]+", key)[0])

    async def order_there(order: str, call: str) -> str:
        return await anyio.to_thread.run_sync(stage.run, "calls", *there, order, call)

    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token("patient"), events=True)
        await client.hears("yes?")
        assert "is on hold" in await order_there("hold", call[:8])
        await client.wait_event("held")
        assert "goes on" in await order_there("resume", call)
        await client.wait_event("resumed")
        with pytest.raises(AssertionError, match="is not on hold"):
            await order_there("resume", call)
        assert "was ended" in await order_there("end", call)
        assert (await client.wait_event("ended"))["reason"] == "operator_hangup"
    assert (await stage.ended(call))["reason"] == "operator_hangup"
