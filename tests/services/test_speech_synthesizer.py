"""Speech from espeak-ng: chunks, word marks, and stopping."""

import os
import signal

import anyio
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.actors.ports import SpeechFailed
from offhook.protocol.speech import MOUTH_RATE, SpeechChunk, Voice, Word
from offhook.services.speech.synthesizer import CHUNK, EspeakSynthesizer, open_synthesizer, pieces, plain

LONG = "We are open from nine to five. " * 100


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Both loops."""
    return str(request.param)


async def speak(synthesizer: EspeakSynthesizer, text: str, voice: Voice | None = None) -> list[SpeechChunk]:
    """All chunks of a text."""
    async with synthesizer.speak(text, voice or Voice()) as chunks:
        return [chunk async for chunk in chunks]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text",
    [
        "Thank you for calling. How can I help you?",
        "We open at 9:30 on 12/05, and it costs $25.50.",
        "Gr\u00fc\u00dfe \U0001f600 <b>bold</b> & \x01v9 [[x]] \x00 end.",
        LONG,
    ],
)
async def test_words_are_marked_in_order_and_cover_the_text(text: str) -> None:
    async with open_synthesizer() as synthesizer:
        chunks = await speak(synthesizer, text)
    begun, words = 0, list[Word]()
    for chunk in chunks:
        length = len(chunk.pcm) // 2
        assert length <= CHUNK
        assert all(word.sample <= begun + length for word in chunk.words)
        begun += length
        words += chunk.words
    assert words == sorted(words, key=lambda word: (word.sample, word.end))
    assert [word.end for word in words] == sorted(word.end for word in words)
    assert len(text.rstrip(". ?")) <= words[-1].end <= len(text)


@pytest.mark.anyio
async def test_the_level_is_right_and_nothing_clips() -> None:
    async with open_synthesizer() as synthesizer:
        chunks = await speak(synthesizer, "Hello, this is the front desk. How can I help you today?")
    samples = numpy.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2") / 32768
    frames = samples[: len(samples) // 480 * 480].reshape(-1, 480)
    power = (frames**2).mean(axis=1)
    active = 10 * numpy.log10(power[power > power.max() / 1000].mean())
    assert -23 < active < -17
    assert numpy.abs(samples).max() < 0.99
    assert 2 < len(samples) / MOUTH_RATE < 7


@pytest.mark.anyio
async def test_voices_differ_and_an_unknown_one_still_speaks() -> None:
    async with open_synthesizer() as synthesizer:
        slow = await speak(synthesizer, "Good morning to you all.", Voice(rate=100))
        fast = await speak(synthesizer, "Good morning to you all.", Voice(rate=250, name="no-such-voice"))
    assert sum(len(chunk.pcm) for chunk in slow) > 1.5 * sum(len(chunk.pcm) for chunk in fast) > 0


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", "  ", "\n\x01"])
async def test_nothing_to_say(text: str) -> None:
    async with open_synthesizer() as synthesizer:
        assert await speak(synthesizer, text) == []


@pytest.mark.anyio
async def test_a_text_that_was_left_does_not_hold_up_the_next() -> None:
    async with open_synthesizer() as synthesizer:
        async with synthesizer.speak(LONG, Voice()) as chunks:
            async for _chunk in chunks:
                break
        assert synthesizer.workers[0].load == 0
        assert await speak(synthesizer, "Yes.")


@pytest.mark.anyio
async def test_texts_at_once_take_turns() -> None:
    async with open_synthesizer() as synthesizer, synthesizer.speak(LONG, Voice()) as chunks:
        async for _chunk in chunks:
            break
        # The long text is still being taken; another call is not kept waiting for its end.
        with anyio.fail_after(20):
            assert await speak(synthesizer, "Yes.")
        assert [chunk async for chunk in chunks]


@pytest.mark.anyio
async def test_a_worker_that_dies_is_replaced_and_none_is_left() -> None:
    async with open_synthesizer() as synthesizer:
        assert await speak(synthesizer, "One.")
        pid = synthesizer.workers[0].pid
        assert pid is not None
        async with synthesizer.speak(LONG, Voice()) as chunks:
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(SpeechFailed):
                await anext(chunks)
        assert await speak(synthesizer, "Two.")
        second = synthesizer.workers[0].pid
        assert second not in {None, pid}
    for gone in (pid, second):
        with pytest.raises(ProcessLookupError):
            os.kill(gone or 0, 0)


@given(st.text(max_size=4_000))
def test_pieces_lose_nothing_but_blanks(text: str) -> None:
    text = plain(text)
    covered = list(text)
    for start, piece in pieces(text):
        assert text[start : start + len(piece)] == piece
        covered[start : start + len(piece)] = " " * len(piece)
    assert not "".join(covered).strip()
