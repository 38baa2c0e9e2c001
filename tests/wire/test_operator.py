"""An operator holds, resumes and ends a call from the command line: covers H1 (hold, resume, end), W5 (on hold)."""

import subprocess
import sys
from functools import partial

import anyio.to_thread
import numpy as np
import pytest
from gateway_client import GatewayClient, open_client
from webrtc_caller import RATE
from wire_stage import Speak, Stage

pytestmark = pytest.mark.anyio


async def command(stage: Stage, *arguments: str) -> str:
    """What an ``offhook`` command prints, while the call goes on."""
    return await anyio.to_thread.run_sync(partial(stage.run, *arguments))


async def refusal(stage: Stage, *arguments: str) -> str:
    """The sentence with which a command fails."""
    data = str(stage.folder / "data")
    words = [sys.executable, "-P", "-m", "offhook.services.cli", *arguments, "--data", data]
    done = await anyio.to_thread.run_sync(partial(subprocess.run, words, capture_output=True, text=True, check=False))
    assert done.returncode == 1 and not done.stdout, done
    return str(done.stderr).strip()


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
        assert "is not on hold" in await refusal(stage, "calls", "resume", call)
        assert level(await heard_now(client, 0.5)) < 10

        assert "on hold" in await command(stage, "calls", "hold", call[:8])
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
        assert "is on hold already" in await refusal(stage, "calls", "hold", call)

        assert "goes on" in await command(stage, "calls", "resume", call)
        await client.wait_event("resumed")
        await client.say(speak("what are your opening hours"))
        await client.hears("nine to five")

        assert "was ended" in await command(stage, "calls", "end", call)
        assert (await client.wait_event("ended"))["reason"] == "operator_hangup"
        assert await client.wait_closed() == 1000
    record = await stage.ended(call)
    assert record["reason"] == "operator_hangup"
    assert [line["text"] for line in record["transcript"] if line["role"] == "caller"] == [
        "what are your opening hours"
    ]
    states = [change["state"] for change in record["states"]]
    assert states == ["connecting", "ringing", "answered", "held", "answered", "ending", "ended"]
    assert "has ended" in await refusal(stage, "calls", "hold", call)
    assert "There is no call" in await refusal(stage, "calls", "end", "no-such-call")
