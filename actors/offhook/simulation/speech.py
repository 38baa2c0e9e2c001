"""Simulated speech: text with durations, carried in the frames of the real audio link.

A spoken word lasts some frames; its first frame holds the word, the others say that the voice goes on. Detector,
recognizer and synthesizer read and write such frames, so that ear, mouth, link and agent under test are the real ones.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from itertools import zip_longest

import anyio

from offhook.actors.ports import SpeechFailed
from offhook.protocol.speech import (
    EAR_FRAME,
    MOUTH_FRAME,
    Heard,
    Hints,
    SpeechChunk,
    Voice,
    Word,
)

#: Frames of 20 ms that one word lasts.
WORD_FRAMES = 15
#: Frames of silence after which a voice has ended.
HANGOVER = 20

_VOICE = 1
_NOISE = 2
_MUMBLE = 3


def word_frames(word: str, size: int, *, kind: int = _VOICE) -> list[bytes]:
    """The frames of one spoken word, each of ``size`` bytes."""
    encoded = word.encode()[:255]
    first = bytes((kind, len(encoded))) + encoded
    rest = bytes((_VOICE, 0)).ljust(size, b"\0")
    return [first.ljust(size, b"\0")] + [rest] * (WORD_FRAMES - 1)


def utter(text: str, *, heard_as: str | None = None, trusted: bool = True) -> list[bytes]:
    """The frames of a spoken sentence, as a caller's microphone gives them.

    A recognizer makes ``heard_as`` of it, and does not trust its own words unless ``trusted``.
    """
    guesses = (text if heard_as is None else heard_as).split()
    kind = _VOICE if trusted else _MUMBLE
    words = zip_longest(text.split(), guesses, fillvalue="")
    return [frame for _said, guess in words for frame in word_frames(guess, EAR_FRAME, kind=kind)]


def noise(seconds: float) -> list[bytes]:
    """A sound that is no speech."""
    return [bytes((_NOISE, 0)).ljust(EAR_FRAME, b"\0")] * round(seconds * 50)


def words_in(pcm: bytes, size: int) -> Iterator[str]:
    """The words that begin in ``pcm``, frames of ``size`` bytes."""
    for start in range(0, len(pcm), size):
        if pcm[start] in {_VOICE, _MUMBLE} and pcm[start + 1]:
            yield pcm[start + 2 : start + 2 + pcm[start + 1]].decode(errors="replace")


def is_mumbled(pcm: bytes, size: int) -> bool:
    """Whether some word in ``pcm``, frames of ``size`` bytes, is not to be trusted."""
    return any(pcm[start] == _MUMBLE for start in range(0, len(pcm), size))


def sounds_in(pcm: bytes, size: int) -> bytes:
    """A byte for each frame of ``size`` bytes in ``pcm``: 0 for silence."""
    return pcm[::size]


def is_sound(frame: bytes) -> bool:
    """True unless the frame is silence."""
    return frame[0] != 0


class SimulatedDetector:
    """Hears a voice at its first frame, and its end after ``HANGOVER`` silent ones."""

    def __init__(self) -> None:
        self._silent = HANGOVER
        self._last = b""

    def feed(self, frame: bytes) -> bool:
        """See ``VoiceDetector``."""
        self._last = frame
        self._silent = 0 if is_sound(frame) else self._silent + 1
        return self._silent < HANGOVER

    def lead(self) -> bytes:
        """See ``VoiceDetector``."""
        return self._last


class SimulatedUtterance:
    """Collects the words that are fed to it."""

    def __init__(self, owner: "SimulatedRecognizer") -> None:
        self._owner = owner
        self._pcm = bytearray()

    async def feed(self, pcm: bytes) -> None:
        """See ``Utterance``."""
        self._pcm += pcm

    async def finish(self) -> Heard:
        """See ``Utterance``."""
        await anyio.sleep(self._owner.delay)
        if self._owner.broken:
            raise SpeechFailed("the simulated recognizer is broken")
        pcm = bytes(self._pcm)
        text = " ".join(words_in(pcm, EAR_FRAME)).lower()
        return Heard(text=text, trusted=not is_mumbled(pcm, EAR_FRAME), seconds=len(pcm) / EAR_FRAME / 50)


class SimulatedRecognizer:
    """Understands simulated speech after ``delay`` seconds."""

    def __init__(self, *, delay: float = 0.1) -> None:
        self.delay = delay
        self.broken = False
        #: Speakers that something is kept of.
        self.speakers: set[str] = set()

    @asynccontextmanager
    async def open_utterance(self, hints: Hints, *, speaker: str) -> AsyncIterator[SimulatedUtterance]:
        """See ``Recognizer``."""
        self.speakers.add(speaker)
        yield SimulatedUtterance(self)

    async def forget(self, speaker: str) -> None:
        """See ``Recognizer``."""
        self.speakers.discard(speaker)


class SimulatedSynthesizer:
    """Speaks a word in each chunk."""

    def __init__(self) -> None:
        self.broken = False

    @asynccontextmanager
    async def speak(self, text: str, voice: Voice) -> AsyncIterator[AsyncIterator[SpeechChunk]]:
        """See ``Synthesizer``."""
        async with aclosing(self._chunks(text)) as chunks:
            yield chunks

    async def _chunks(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        end = sample = 0
        for word in text.split():
            if self.broken:
                raise SpeechFailed("the simulated voice is broken")
            end = text.index(word, end) + len(word)
            pcm = b"".join(word_frames(word, MOUTH_FRAME))
            yield SpeechChunk(pcm, (Word(sample, end),))
            sample += len(pcm) // 2
