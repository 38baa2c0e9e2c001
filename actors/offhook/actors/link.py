"""The audio link between the media and the agent of one call: two bounded queues in memory.

Media side, called from the packet path, never waits: ``hear`` gives a frame to the agent, ``take`` asks for the next
frame to send. Agent side: ``receive`` a frame, ``play`` speech, ``pause``/``resume``/``clear`` it, and ask how much was
``played``, because the transcript holds what the caller heard.

Both sides must run on the same loop.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel

from offhook.protocol.speech import MOUTH_FRAME

#: Frames of 20 ms kept for an agent that does not listen; the oldest are dropped.
EAR_DEPTH = 100
#: Speech kept ahead of the caller, bytes at ``MOUTH_RATE`` (10 s); ``play`` waits beyond that.
MOUTH_DEPTH = 500 * MOUTH_FRAME


class AudioLink:
    """Audio between one peer connection and one agent."""

    def __init__(self) -> None:
        self._ear: deque[bytes] = deque(maxlen=EAR_DEPTH)
        self._heard = anyio.Event()
        self._mouth = bytearray()
        self._moved = anyio.Event()
        self._paused = False
        self._played = 0
        self._watchers: list[Callable[[], None]] = []

    # ── media side ─────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def watched(self, about_to_touch: Callable[[], None]) -> Iterator[None]:
        """Have ``about_to_touch`` called before the agent's side looks at what is queued, or changes it.

        A media side that does not ask every 20 ms can catch up with the time then, and go on after silence.
        """
        self._watchers.append(about_to_touch)
        try:
            yield
        finally:
            self._watchers.remove(about_to_touch)

    def hear(self, frame: bytes) -> None:
        """A frame of 20 ms from the caller (s16le mono, ``EAR_RATE``)."""
        self._ear.append(frame)
        self._heard.set()

    def hear_all(self, frames: Iterable[bytes]) -> None:
        """Frames of the caller one after another, from a media side that catches up."""
        self._ear.extend(frames)
        self._heard.set()

    def take(self) -> bytes | None:
        """The next 20 ms for the caller (``MOUTH_FRAME`` bytes), or None for silence. A short tail is padded."""
        if self._paused or not self._mouth:
            return None
        frame = bytes(self._mouth[:MOUTH_FRAME])
        del self._mouth[:MOUTH_FRAME]
        self._played += len(frame) // 2
        self._moved.set()
        return frame.ljust(MOUTH_FRAME, b"\0")

    def take_all(self, count: int) -> bytes:
        """The next ``count`` frames in one piece, for a media side that catches up; not more than ``sending``."""
        frames = bytes(self._mouth[: count * MOUTH_FRAME])
        del self._mouth[: count * MOUTH_FRAME]
        self._played += len(frames) // 2
        self._moved.set()
        return frames.ljust(count * MOUTH_FRAME, b"\0")

    @property
    def sending(self) -> int:
        """Frames that ``take`` gives now, one after the other, before it gives None."""
        return 0 if self._paused else -(-len(self._mouth) // MOUTH_FRAME)

    # ── agent side ─────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> bytes:
        """The next frame of the caller; waits for it."""
        while not self._ear:
            self._heard = anyio.Event()
            await self._heard.wait()
        return self._ear.popleft()

    def deafen(self) -> None:
        """Drop the frames that wait to be received."""
        self._ear.clear()

    async def play(self, pcm: bytes) -> None:
        """Queue speech (s16le mono, ``MOUTH_RATE``); waits while ten seconds are queued already."""
        self._about_to_touch()
        while len(self._mouth) >= MOUTH_DEPTH:
            await self.wait_moved()
        # A speaker that was cut while it was waking up must not leave words behind.
        await anyio.lowlevel.checkpoint_if_cancelled()
        self._mouth += pcm

    def pad(self, size: int) -> None:
        """Queue ``size`` bytes of silence."""
        self._about_to_touch()
        self._mouth += bytes(size)

    @property
    def played(self) -> int:
        """Samples (``MOUTH_RATE``) that were sent to the caller since the call began."""
        self._about_to_touch()
        return self._played

    @property
    def queued(self) -> int:
        """Samples that were queued and not yet sent."""
        self._about_to_touch()
        return len(self._mouth) // 2

    def pause(self) -> None:
        """Stop sending; keep what is queued."""
        self._about_to_touch()
        self._paused = True

    def resume(self) -> None:
        """Go on sending."""
        self._about_to_touch()
        self._paused = False

    def clear(self) -> None:
        """Drop what is queued, and end a pause."""
        self._about_to_touch()
        self._mouth.clear()
        self._paused = False
        self._moved.set()

    async def wait_drained(self) -> None:
        """Wait until everything queued was sent or cleared."""
        while self._mouth:
            await self.wait_moved()

    async def wait_moved(self) -> None:
        """Wait until some of what is queued was sent or cleared."""
        self._moved = anyio.Event()
        await self._moved.wait()

    def _about_to_touch(self) -> None:
        for watcher in self._watchers:
            watcher()
