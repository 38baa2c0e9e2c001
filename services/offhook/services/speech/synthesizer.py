"""``Synthesizer`` on espeak-ng in a process of its own."""

import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import anyio
import anyio.lowlevel

from offhook.protocol.speech import MOUTH_RATE, SpeechChunk, Voice, Word
from offhook.services.speech.pipe import Speak, Spoken, Stop
from offhook.services.speech.worker import Worker

#: A text is spoken in pieces that end with a sentence and are longer than this (characters): the caller of a long text
#: has to take one piece before the next is made, and other calls get their turn between them.
PIECE = 160
#: A sentence that never ends is cut after so many characters.
PIECE_LIMIT = 1_000
#: Longest chunk handed out, samples.
CHUNK = MOUTH_RATE // 5

# A sentence ends at a mark, perhaps a closing quote, and white space before what does not go on in lower case.
_SENTENCE_END = re.compile(r"[.!?\u2026]+[\"')\]]*\s+(?![a-z])|\n+")


class EspeakSynthesizer:
    """Text to speech in worker processes."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers

    def speak(self, text: str, voice: Voice) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """Speech for plain text; markup is read out as text, not obeyed."""
        return self._speak(text, voice)

    @asynccontextmanager
    async def _speak(self, text: str, voice: Voice) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        async with aclosing(self._chunks(text, voice)) as chunks:
            yield chunks

    async def _chunks(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk, None]:
        begun = 0  # samples before the piece
        for start, piece in pieces(plain(text)):
            length = 0
            async with aclosing(self._piece(piece, voice)) as replies:
                async for reply in replies:
                    words = [Word(begun + sample, start + end) for sample, end in reply.words]
                    for chunk in cut(reply.pcm, words, begun + length):
                        yield chunk
                    length += len(reply.pcm) // 2
            begun += length

    async def _piece(self, text: str, voice: Voice) -> AsyncGenerator[Spoken, None]:
        worker = min(self.workers, key=lambda worker: worker.load)
        with worker.open_job() as job:
            job.send(Speak(job.number, text, voice))
            try:
                while True:
                    reply = await job.receive()
                    assert isinstance(reply, Spoken)
                    yield reply
                    if reply.last:
                        return
            finally:
                if worker.holds(job.number):
                    worker.post(Stop(job.number))


def plain(text: str) -> str:
    """The text with every character that could steer the engine made a space; positions stay."""
    return "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} else char for char in text)


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """``text`` cut at the ends of sentences, each piece with its index in the text; blank ones are left out."""
    start = 0
    while start < len(text):
        window = text[start : start + PIECE_LIMIT]
        if len(window) < PIECE_LIMIT and len(window) <= PIECE:
            end = len(window)
        else:
            ends = (match.end() for match in _SENTENCE_END.finditer(window) if match.end() > PIECE)
            end = next(ends, len(window) if len(window) < PIECE_LIMIT else window.rfind(" ") + 1 or PIECE_LIMIT)
        if window[:end].strip():
            yield start, window[:end]
        start += end


def cut(pcm: bytes, words: list[Word], first: int) -> Iterator[SpeechChunk]:
    """Chunks of at most 200 ms; ``first`` is the sample of the speech that ``pcm`` begins with."""
    if not pcm and words:
        yield SpeechChunk(b"", tuple(words))
    for index in range(0, len(pcm) // 2, CHUNK):
        stop = first + index + CHUNK
        last = index + CHUNK >= len(pcm) // 2
        inside = tuple(word for word in words if word.sample < stop or last)
        words = words[len(inside) :]
        yield SpeechChunk(pcm[index * 2 : (index + CHUNK) * 2], inside)


@asynccontextmanager
async def open_synthesizer(*, workers: int = 1) -> AsyncGenerator[EspeakSynthesizer, None]:
    """A synthesizer with ``workers`` processes, started in the background; one speaks for dozens of calls."""
    pool = [Worker("offhook.services.speech.espeak_worker") for _ in range(workers)]
    async with anyio.create_task_group() as tasks:
        for worker in pool:
            tasks.start_soon(worker.run)
        yield EspeakSynthesizer(pool)
        tasks.cancel_scope.cancel()
