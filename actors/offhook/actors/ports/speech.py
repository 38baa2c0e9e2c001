"""Speech: from audio to words, from words to audio, and when somebody speaks."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from offhook.protocol.errors import OffhookError
from offhook.protocol.speech import Heard, Hints, SpeechChunk, Voice


class SpeechFailed(OffhookError):
    """A speech engine cannot do its work now; ``message`` says why."""


class Utterance(Protocol):
    """One utterance on its way to words."""

    async def feed(self, pcm: bytes) -> None:
        """More audio (``EAR_RATE``, any length). Returns soon; recognition runs elsewhere. Raises ``SpeechFailed``."""

    async def finish(self) -> Heard:
        """No more audio: the words. Raises ``SpeechFailed``."""


class Recognizer(Protocol):
    """Speech to text."""

    def open_utterance(self, hints: Hints, *, speaker: str) -> AbstractAsyncContextManager[Utterance]:
        """Begin an utterance; leaving the context drops it.

        ``speaker`` names the call: what was learnt of a voice and its line (cepstral means) is kept under it.
        Entering never waits for a model to load for more than a second; it raises ``SpeechFailed`` rather.
        """

    async def forget(self, speaker: str) -> None:
        """The call is over: drop what was kept under ``speaker``."""


class Synthesizer(Protocol):
    """Text to speech."""

    def speak(self, text: str, voice: Voice) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """Speech for ``text`` in chunks of at most 200 ms, faster than real time; leaving the context stops it.

        ``Word.sample`` counts from the start of this text. Iterating raises ``SpeechFailed``.
        """


class VoiceDetector(Protocol):
    """Tells speech from silence in one call's audio. Synchronous, a few microseconds a frame."""

    def feed(self, frame: bytes) -> bool:
        """One frame of 20 ms (``EAR_FRAME`` bytes); True while the caller speaks, hangover included."""

    def lead(self) -> bytes:
        """Audio just before the detector turned True (and the frame that turned it), for the recognizer."""
