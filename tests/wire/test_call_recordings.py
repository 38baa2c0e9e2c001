"""Recordings of calls over the real wire, with the real processes and real speech (covers R5, W4 on the server)."""

import json
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soxr
from gateway_client import open_client
from wire_stage import Speak, Stage

from offhook.protocol.speech import EAR_RATE, MOUTH_RATE, Hints, Voice
from offhook.services.speech import open_recognizer, open_synthesizer

pytestmark = pytest.mark.anyio

QUESTION, ANSWER = "what are your opening hours", "We are open from nine to five."
#: What the caller says and does not say, so that the recognizer has a choice.
GRAMMAR = f"#JSGF V1.0;\ngrammar said;\npublic <said> = {QUESTION} | where are you located | good bye | no thank you;\n"


def play(file: Path) -> tuple[bytes, bytes]:
    """Caller and agent, s16le at ``EAR_RATE``."""
    with av.open(str(file)) as container:
        resampler = av.AudioResampler(format="s16p", layout="stereo", rate=EAR_RATE)
        frames = [out.to_ndarray() for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    caller, agent = np.concatenate(frames, axis=1)
    return bytes(caller.astype("<i2").tobytes()), bytes(agent.astype("<i2").tobytes())


def talks(pcm: bytes) -> list[tuple[float, float]]:
    """Beginning and end of each piece of speech, seconds; pauses under half a second are part of it."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    step = EAR_RATE // 20
    loud = np.sqrt((samples[: len(samples) // step * step].reshape(-1, step) ** 2).mean(axis=1)) > 200
    found: list[tuple[float, float]] = []
    for at in np.flatnonzero(loud):
        begin, end = at / 20, (at + 1) / 20
        if found and begin - found[-1][1] < 0.5:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


async def understand(pcm: bytes, span: tuple[float, float]) -> str:
    """What is said in a piece of a side."""
    begin, end = (int(at * EAR_RATE) * 2 for at in (max(0.0, span[0] - 0.3), span[1] + 0.3))
    async with (
        open_recognizer() as recognizer,
        recognizer.open_utterance(Hints(grammar=GRAMMAR), speaker="recording") as utterance,
    ):
        await utterance.feed(pcm[begin:end])
        return (await utterance.finish()).text


def loudness(pcm: bytes) -> npt.NDArray[np.float64]:
    """The course of the loudness, 50 values a second."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    blocks = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    course: npt.NDArray[np.float64] = np.log10(np.sqrt((blocks**2).mean(axis=1)) + 50.0)
    return course


async def likeness(pcm: bytes, span: tuple[float, float], text: str) -> float:
    """How much a piece of a side sounds like the agent's voice saying ``text``, at best; -1 to 1."""
    async with open_synthesizer() as synthesizer, synthesizer.speak(text, Voice()) as chunks:
        spoken = np.frombuffer(b"".join([chunk.pcm async for chunk in chunks]), "<i2")
    wanted = loudness(bytes(soxr.resample(spoken, MOUTH_RATE, EAR_RATE).astype("<i2").tobytes()))
    course = loudness(pcm)
    first, last = (int(at * 50) for at in (span[0] - 0.5, span[0] + 0.5))
    windows = [course[at : at + len(wanted)] for at in range(max(0, first), last)]
    return max(float(np.corrcoef(wanted, window)[0, 1]) if window.std() > 0.01 else 0.0 for window in windows)


async def talk(stage: Stage, speak: Speak) -> str:
    """A call of the scribe whose caller has agreed to be recorded; returns its id."""
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token("scribe"), events=True, variables={"consent": "2026-11"})
        await client.hears("yes?")
        await client.say(speak(QUESTION))
        await client.hears("nine to five")
        await client.say(speak("good bye"))
        await client.wait_event("ended")
    return call


async def test_a_recorded_call_plays_and_both_sides_are_on_it(stage: Stage, speak: Speak) -> None:
    call = await talk(stage, speak)
    record = await stage.ended(call)
    recording = record["recording"]
    file = stage.folder / "data" / "recordings" / recording["key"]
    assert (recording["consent"], recording["failure"]) == ("2026-11", "")
    assert recording["size"] == file.stat().st_size
    assert record["duration"] - 1 < recording["seconds"] < record["duration"] + 2

    caller, agent = play(file)
    # Each side in its place, and in step: the answer follows the question.
    asked, farewell = talks(caller)[-2:]
    assert await understand(caller, asked) == QUESTION
    assert await understand(caller, farewell) == "good bye"
    answered = next(span for span in talks(agent) if span[0] > asked[1])
    assert answered[0] < asked[1] + 3 and answered[0] < farewell[0]
    assert await likeness(agent, answered, ANSWER) > 0.8
    # And the checks can fail: neither the other side nor another sentence is taken for what was said.
    assert await likeness(caller, answered, ANSWER) < 0.6
    assert await likeness(agent, answered, "No. Thank you very much indeed!") < 0.6
    assert await understand(caller, farewell) != QUESTION

    # A line of the transcript is found on the recording by its time.
    for text, span in ((QUESTION, asked), (ANSWER, answered)):
        line = next(line for line in record["transcript"] if text in line["text"])
        assert line["began"] - recording["began_at"] == pytest.approx(span[0], abs=0.5)

    shown = stage.run("calls", "show", call)
    assert str(file) in "".join(shown.split())
    erased = stage.run("calls", "erase", call, "--yes")
    assert "its recording" in erased
    assert not file.exists()


async def test_who_has_not_agreed_to_this_text_is_not_recorded(stage: Stage) -> None:
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token("scribe"), events=True, variables={"consent": "2019-01"})
        await client.hears("yes?")
        await client.hang_up()
    assert (await stage.ended(call))["recording"] is None
    assert not (stage.folder / "data" / "recordings" / f"{call}.ogg").exists()
    assert json.loads(stage.run("calls", "show", call, "--json"))["recording"] is None
