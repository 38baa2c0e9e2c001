"""The ear of an agent: finds the caller's voice in the audio and turns utterances into words.

Two tasks. The first reads the audio link and tells when a voice begins and ends. The second exists while an utterance
is open; it feeds the recognizer as the audio comes, so that the words are there soon after the last of it.

What was said and not yet answered is kept: when the caller goes on after a pause, the next utterance begins with it,
so the sentence is understood as a whole. ``settle`` forgets it.
"""

from collections.abc import Callable

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.link import AudioLink
from offhook.actors.ports import Recognizer, SpeechFailed, VoiceDetector
from offhook.protocol.speech import EAR_FRAME, Heard, Hints

#: Longest audio of one utterance, with what is kept of the one before it: 30 s.
MOST_AUDIO = 1500 * EAR_FRAME


class VoiceHeard(msgspec.Struct, frozen=True):
    """The caller began (True) or ended (False) to speak; ``at`` is in seconds of ``anyio.current_time``."""

    speaking: bool
    at: float


class WordsHeard(msgspec.Struct, frozen=True):
    """The recognizer's outcome for utterance ``number``; None when it failed."""

    number: int
    heard: Heard | None


EarNews = VoiceHeard | WordsHeard


class Ear:
    """Hears one caller. News go to ``tell``."""

    def __init__(
        self,
        link: AudioLink,
        *,
        detector: VoiceDetector,
        recognizer: Recognizer,
        speaker: str,
        tell: Callable[[EarNews], None],
        tasks: TaskGroup,
    ) -> None:
        self._link = link
        self._detector = detector
        self._recognizer = recognizer
        self._speaker = speaker
        self._tell = tell
        self._tasks = tasks
        #: Number of the utterance that is open or was open last; news of an earlier one are stale.
        self.number = 0
        self._audio = bytearray()
        self._whole = True
        self._grew = anyio.Event()
        self._scope: anyio.CancelScope | None = None

    async def listen(self) -> None:
        """Follow the caller's voice until cancelled."""
        speaking = False
        while True:
            frame = await self._link.receive()
            was, speaking = speaking, self._detector.feed(frame)
            if speaking and not was:
                self._keep(self._detector.lead())
                self._tell(VoiceHeard(True, anyio.current_time()))
            elif speaking:
                self._keep(frame)
            elif was:
                self._tell(VoiceHeard(False, anyio.current_time()))

    def open(self, hints: Hints) -> None:
        """Begin an utterance with what is kept, and feed it as audio comes."""
        self._stop()
        self.number += 1
        self._whole = False
        self._scope = anyio.CancelScope()
        self._tasks.start_soon(self._recognize, self.number, hints, self._scope)

    def finish(self) -> None:
        """The utterance is whole: ask for its words."""
        self._whole = True
        self._grew.set()

    def shut(self) -> None:
        """Drop the utterance and what is kept."""
        self._stop()
        self.settle()

    def settle(self) -> None:
        """What was said has been answered, or was nothing: forget it."""
        self._audio.clear()

    def _stop(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None

    def _keep(self, pcm: bytes) -> None:
        self._audio += pcm
        if len(self._audio) > MOST_AUDIO:
            del self._audio[: len(self._audio) - MOST_AUDIO]
        self._grew.set()

    async def _recognize(self, number: int, hints: Hints, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                heard = await self._feed(hints)
            except SpeechFailed:
                heard = None
            self._tell(WordsHeard(number, heard))

    async def _feed(self, hints: Hints) -> Heard:
        async with self._recognizer.open_utterance(hints, speaker=self._speaker) as utterance:
            fed = 0
            while True:
                whole = self._whole
                if fed < len(self._audio):
                    piece = bytes(self._audio[fed:])
                    fed += len(piece)
                    await utterance.feed(piece)
                elif whole:
                    return await utterance.finish()
                else:
                    self._grew = anyio.Event()
                    await self._grew.wait()
