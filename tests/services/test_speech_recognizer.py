"""The recognizer on real audio: spoken by flite (or espeak-ng), by noise, and by nobody."""

import os
import shutil
import signal
import subprocess
import wave
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import numpy
import pytest
import soxr

from offhook.actors.ports import SpeechFailed
from offhook.protocol.speech import EAR_RATE, Heard, Hints
from offhook.services.speech.recognizer import PocketsphinxRecognizer, open_recognizer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not (shutil.which("flite") or shutil.which("espeak-ng")), reason="no flite or espeak-ng"),
]

GRAMMAR = """#JSGF V1.0;
grammar desk;
public <now> = what are your opening hours | where are you located | leave a message | yes [please] | no [thank you]
  | book an appointment [on <day>] | goodbye;
<day> = monday | tuesday | wednesday | thursday | friday;
"""
SENTENCES = ("what are your opening hours", "where are you located", "book an appointment on tuesday")
HINTS = Hints(grammar=GRAMMAR, sentences=SENTENCES)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Both loops."""
    return str(request.param)


@cache
def say(text: str) -> bytes:
    """``text`` at 16 kHz with a little silence around it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        if shutil.which("flite"):
            command = ["flite", "-voice", "slt", "-t", text, "-o", str(path)]
        else:
            command = ["espeak-ng", "-v", "en-us", "-w", str(path), text]
        subprocess.run(command, check=True)
        with wave.open(str(path)) as sound:
            samples = numpy.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(numpy.float32)
            samples = soxr.resample(samples, sound.getframerate(), EAR_RATE)
    silence = numpy.zeros(EAR_RATE // 5, numpy.float32)
    return numpy.concatenate([silence, samples, silence]).astype("<i2").tobytes()


def burst(*, milliseconds: int, loud: float = 8_000.0) -> bytes:
    """A burst of noise that fades, in a quiet second."""
    chance = numpy.random.default_rng(5)
    sound = chance.normal(0, 20, EAR_RATE)
    length = EAR_RATE * milliseconds // 1000
    sound[4_000 : 4_000 + length] += chance.normal(0, loud, length) * numpy.exp(-4 * numpy.arange(length) / length)
    return sound.clip(-32768, 32767).astype("<i2").tobytes()


async def hear(recognizer: PocketsphinxRecognizer, pcm: bytes, hints: Hints = HINTS, *, speaker: str = "a") -> Heard:
    """One utterance, a frame at a time."""
    async with recognizer.open_utterance(hints, speaker=speaker) as utterance:
        for at in range(0, len(pcm), 640):
            await utterance.feed(pcm[at : at + 640])
        return await utterance.finish()


async def test_sentences_of_the_grammar_are_heard_and_trusted() -> None:
    async with open_recognizer(workers=1) as recognizer:
        for text in (*SENTENCES, "yes please", "goodbye"):
            pcm = say(text)
            heard = await hear(recognizer, pcm)
            assert (heard.text, heard.trusted) == (text, True)
            assert heard.seconds == pytest.approx(len(pcm) / 2 / EAR_RATE)


async def test_a_sentence_outside_of_the_grammar_is_not_trusted() -> None:
    async with open_recognizer(workers=1) as recognizer:
        for text in ("seven elephants walk through the forest", "tell me a joke about computers"):
            heard = await hear(recognizer, say(text))
            assert heard.text
            assert not heard.trusted


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("pcm", [b"", bytes(640), bytes(32_000), burst(milliseconds=15), burst(milliseconds=250)])
async def test_clicks_coughs_and_silence_are_no_speech(pcm: bytes) -> None:
    async with open_recognizer(workers=1) as recognizer:
        heard = await hear(recognizer, pcm)
        assert (heard.text, heard.trusted) == ("", False)


async def test_sentences_alone_make_a_model() -> None:
    async with open_recognizer(workers=1) as recognizer:
        heard = await hear(recognizer, say(SENTENCES[0]), Hints(sentences=SENTENCES))
        assert heard.text == SENTENCES[0]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_without_hints_it_takes_dictation() -> None:
    async with open_recognizer(workers=1) as recognizer:
        assert "computer" in (await hear(recognizer, say("tell me a joke about computers"), Hints())).text


async def test_calls_at_once_share_a_worker() -> None:
    heard: dict[str, str] = {}
    async with open_recognizer(workers=1) as recognizer, anyio.create_task_group() as tasks:

        async def caller(text: str) -> None:
            heard[text] = (await hear(recognizer, say(text), speaker=text)).text
            await recognizer.forget(text)

        for text in SENTENCES:
            tasks.start_soon(caller, text)
    assert heard == {text: text for text in SENTENCES}


async def test_a_grammar_that_is_none_fails_that_utterance_only() -> None:
    async with open_recognizer(workers=1) as recognizer:
        for grammar in ("", "#JSGF V1.0; grammar a; import <b.*>; public <c> = <b.d>;", "public <a> = (;", "\0"):
            with pytest.raises(SpeechFailed):
                await hear(recognizer, say("goodbye"), Hints(grammar=grammar))
        assert (await hear(recognizer, say("goodbye"))).text == "goodbye"


async def test_words_the_dictionary_lacks_are_guessed() -> None:
    grammar = "#JSGF V1.0; grammar a; public <a> = goodbye | zzyzxqwv | offhook | 3 | \u00fc;"
    async with open_recognizer(workers=1) as recognizer:
        assert (await hear(recognizer, say("goodbye"), Hints(grammar=grammar))).text == "goodbye"


async def test_a_worker_that_dies_is_replaced() -> None:
    async with open_recognizer(workers=1) as recognizer:
        pcm = say("goodbye")
        async with recognizer.open_utterance(HINTS, speaker="a") as utterance:
            await utterance.feed(pcm)
            os.kill(await wait_pid(recognizer), signal.SIGKILL)
            with pytest.raises(SpeechFailed):
                await utterance.finish()
        assert (await hear(recognizer, pcm)).text == "goodbye"


async def test_no_process_is_left() -> None:
    async with open_recognizer(workers=2) as recognizer:
        pids = [await wait_pid(recognizer, index) for index in range(2)]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def wait_pid(recognizer: PocketsphinxRecognizer, index: int = 0) -> int:
    """Process id of a worker, once it has one."""
    with anyio.fail_after(10):
        while (pid := recognizer.workers[index].pid) is None:
            await anyio.sleep(0.01)
    return pid
