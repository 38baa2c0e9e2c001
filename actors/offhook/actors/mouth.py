"""The mouth of an agent: speaks sentences into the audio link and knows how much of them was heard.

A line is everything the agent says in one turn. Its words carry the sample at which they begin, and the link counts
the samples that were sent, so at any moment the part of the line that the caller heard is known.
"""

import logging
from collections.abc import Callable

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.link import AudioLink
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import SpeechFailed, Synthesizer
from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE, Voice

log = logging.getLogger("offhook.agent")

#: Seconds of speech queued ahead of the caller before a sentence waits.
AHEAD = 1.0


class SpeechPlayed(msgspec.Struct, frozen=True):
    """Everything of line ``number`` was played; ``failed`` when the voice broke down on the way."""

    number: int
    failed: bool = False


class Line(msgspec.Struct, frozen=True):
    """A line as far as it was heard."""

    text: str
    #: When its first sound was sent, seconds of ``anyio.current_time``; None when nothing was.
    began: float | None
    #: True when the caller heard all of it.
    whole: bool


class _Mark(msgspec.Struct, frozen=True):
    #: First sample of the word, counted like ``AudioLink.played``.
    sample: int
    #: The line up to and with the word.
    text: str


class Mouth:
    """Speaks for one agent. ``tell`` hears of each line that was played to its end."""

    def __init__(
        self,
        link: AudioLink,
        *,
        synthesizer: Synthesizer,
        voice: Voice,
        tell: Callable[[SpeechPlayed], None],
        tasks: TaskGroup,
    ) -> None:
        self._link = link
        self._synthesizer = synthesizer
        self._voice = voice
        self._tell = tell
        self._tasks = tasks
        #: Number of the line that is spoken or was spoken last; news of an earlier one are stale.
        self.number = 0
        #: True once the line that was spoken last was played to its end.
        self.played = False
        self._scope: anyio.CancelScope | None = None
        self._sentences: Mailbox[str | None]
        self._marks: list[_Mark] = []
        self._spoken = ""
        self._began: float | None = None

    def begin(self) -> None:
        """Begin a line."""
        self.cut()
        self.number += 1
        self.played = False
        self._marks, self._spoken, self._began = [], "", None
        self._sentences = Mailbox(64)
        self._scope = anyio.CancelScope()
        self._tasks.start_soon(self._speak, self.number, self._sentences, self._scope)

    def say(self, text: str) -> None:
        """Add a sentence to the line."""
        self._sentences.put(text)

    def end(self) -> None:
        """The line has no more sentences."""
        self._sentences.put(None)

    def pause(self) -> None:
        """Fall silent, keep what was not played."""
        self._link.pause()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._link.resume()

    def cut(self) -> Line:
        """Stop the line for good and return what was heard of it. Nothing happens when none is spoken."""
        line = self.heard()
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None
        self._link.clear()
        return line

    def heard(self) -> Line:
        """The present line as far as the caller has heard it; a word counts once it began."""
        played = self._link.played
        heard = ""
        for mark in self._marks:
            if mark.sample >= played:
                break
            heard = mark.text
        return Line(heard, self._began, whole=heard == self._spoken)

    async def _speak(self, number: int, sentences: Mailbox[str | None], scope: anyio.CancelScope) -> None:
        with scope:
            failed = False
            while (sentence := await sentences.get()) is not None:
                try:
                    await self._utter(sentence)
                except SpeechFailed:
                    failed = True
            await self._link.wait_drained()
            self.played = True
            self._tell(SpeechPlayed(number, failed))

    async def _utter(self, sentence: str) -> None:
        before = f"{self._spoken} " if self._spoken else ""
        start = self._link.played + self._link.queued
        self._spoken = before + sentence
        known = len(self._marks)
        async with self._synthesizer.speak(sentence, self._voice) as chunks:
            async for chunk in chunks:
                if self._began is None:
                    self._began = anyio.current_time()
                    log.debug("speech begins", extra={"line": self.number})
                for word in chunk.words:
                    self._marks.append(_Mark(start + word.sample, before + sentence[: word.end]))
                await self._link.play(chunk.pcm)
                await self._wait_ahead()
        last = self._marks.pop().sample if len(self._marks) > known else start
        self._marks.append(_Mark(last, self._spoken))
        self._fill_frame()

    async def _wait_ahead(self) -> None:
        while self._link.queued > AHEAD * MOUTH_RATE:
            await self._link.wait_moved()

    def _fill_frame(self) -> None:
        """Pad the sentence to whole frames, so that the next one begins on a frame."""
        rest = self._link.queued * 2 % MOUTH_FRAME
        if rest:
            self._link.pad(MOUTH_FRAME - rest)
