"""Recordings in a folder: the ``Recorder`` port on Ogg/Opus files.

The packet path only appends to a queue. Twice a second one worker thread, the same for all calls of the process, places
what came, and hands each file its next pages in one write, so that a process that is killed leaves files that play to
within a second of the end. Nothing is decoded, but for packets that cannot be cut into 20 ms.
"""

import datetime
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from offhook.actors.ports import Recorded
from offhook.protocol.call import recording_key
from offhook.protocol.recording import (
    FIRST,
    LAST,
    BadPacket,
    OggStream,
    Side,
    Tracks,
    fitting,
    opus_head,
    opus_tags,
    parse,
    units,
)
from offhook.services.media.recoding import Recoder

log = logging.getLogger("offhook.media")

#: Seconds between two writes, and how long a packet may be under way before its place is written as silence.
WRITE_EVERY = 0.5
HOLD_BACK = 0.4
#: Packets of one call that may wait for the disk (half a minute of both sides); then they are lost, and counted.
MAX_WAITING = 3000
#: Units of 20 ms without a place on the recording (a second of sound) from which on it says so.
MOST_LEFT_OUT = 50
#: Samples that an encoder looks ahead, which is how much of the beginning is not to be played (RFC 7845 4.2).
PRE_SKIP = 312
RATE = 48_000
#: Seconds between looks for recordings that were kept long enough.
CLEAN_EVERY = 3600.0
_DAY = 86_400.0
SUFFIX = ".ogg"


class FileRecording:
    """One recording: the ``Recording`` port. The packet path and the worker thread meet in its queue only."""

    def __init__(
        self,
        file: Path,
        comments: dict[str, str],
        thread: anyio.CapacityLimiter,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives the time of now in seconds, from any thread."""
        self.key = file.name
        #: True once nothing more comes: the worker thread closes the file.
        self.left = False
        self._file = file
        self._comments = comments
        self._thread = thread
        self._clock = clock
        self._waiting: deque[tuple[Side, float, int, bytes]] = deque()
        self._tracks = Tracks()
        self._recoders = (Recoder(), Recoder())
        self._stream = OggStream(secrets.randbits(32))
        self._descriptor: int | None = None
        #: True once the file is closed for good.
        self.closed = False
        #: When the first packet came, by ``clock`` and by the wall's.
        self._began: float | None = None
        self._began_at: float | None = None
        self._samples = 0
        self._size = 0
        self._lost = 0
        self._failure = ""

    # ── the packet path ────────────────────────────────────────────────────────────────────────────────────────

    def heard(self, timestamp: int, payload: bytes) -> None:
        """See ``Tap``."""
        self._put(Side.CALLER, timestamp, payload)

    def sent(self, timestamp: int, payload: bytes) -> None:
        """See ``Tap``."""
        self._put(Side.AGENT, timestamp, payload)

    async def finish(self) -> Recorded:
        """Write what is left and close the file. Never raises."""
        await anyio.to_thread.run_sync(partial(self.write, last=True), limiter=self._thread, abandon_on_cancel=True)
        return Recorded(seconds=self._samples / RATE, size=self._size, failure=self._trouble(), began_at=self._began_at)

    def _put(self, side: Side, timestamp: int, payload: bytes) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((side, self._clock(), timestamp, payload))
        else:
            self._lost += 1

    # ── the worker thread ──────────────────────────────────────────────────────────────────────────────────────

    def write(self, *, last: bool = False) -> None:
        """Write what has had time to come; with ``last`` everything, and close the file. Then nothing more is taken."""
        if self.closed:
            return
        last = last or self.left
        try:
            self._place()
            if self._began is not None and not self._failure:
                self._write_pages(self._clock() - self._began, last=last)
        except OSError as error:
            self._failure = f"The disk did not take it: {error.strerror}."
            log.error("recording broke off", extra={"key": self.key, "why": str(error)})
        if last:
            self.close()

    def close(self) -> None:
        """Let go of the file for good."""
        self.closed = True
        if self._descriptor is not None:
            with suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _place(self) -> None:
        for _ in range(len(self._waiting)):
            side, at, timestamp, payload = self._waiting.popleft()
            if self._began is None:
                self._began, self._began_at = at, time.time() - (self._clock() - at)
            try:
                packet = parse(payload)
            except BadPacket:
                # A caller may send anything; a player would stumble over it.
                continue
            cut = units(packet)
            if cut is None:
                timestamp, cut = self._recoders[side].recode(timestamp, payload)
            self._tracks.put(side, at - self._began, timestamp, cut)

    def _write_pages(self, passed: float, *, last: bool) -> None:
        rows = list(self._tracks.take(passed + 1 / 50 if last else passed - HOLD_BACK))
        pages = []
        if self._descriptor is None:
            self._descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            pages.append(self._stream.page([opus_head(pre_skip=PRE_SKIP)], 0, flags=FIRST))
            pages.append(self._stream.page([opus_tags(self._comments)], 0))
        groups = list(fitting(rows))
        if last and rows:
            # Players that are sent into the last page of a stream may lose count of the time (FFmpeg, and with it
            # Chromium), so that it holds one packet.
            groups = [*fitting(rows[:-1]), rows[-1:]]
        for number, group in enumerate(groups, 1):
            self._samples += len(group) * RATE // 50
            pages.append(self._stream.page(group, self._samples, flags=LAST if last and number == len(groups) else 0))
        self._append(b"".join(pages))

    def _append(self, data: bytes) -> None:
        assert self._descriptor is not None
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            # A page that is there in part is no page; without it the file ends well.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def _trouble(self) -> str:
        if self._failure:
            return self._failure
        parts = []
        if self._lost:
            parts.append(f"The disk was too slow: {self._lost} packets of 20 ms were lost.")
        if self._tracks.lost > MOST_LEFT_OUT:
            parts.append(f"{self._tracks.lost / 50:.1f} s of sound are not on it: they came too late or too fast.")
        return " ".join(parts)


class FileRecorder:
    """The ``Recorder`` port: files in ``folder``, one ``<call>.ogg`` for nearly each call."""

    def __init__(self, folder: Path, *, keep_days: int = 0) -> None:
        """Recordings older than ``keep_days`` are deleted; 0 keeps them for ever."""
        self._folder = folder
        self._keep_days = keep_days
        self._recordings: set[FileRecording] = set()
        self._thread = anyio.CapacityLimiter(1)

    async def run(self) -> None:
        """Write what comes, and delete what is old; until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            if self._keep_days:
                tasks.start_soon(self._clean)

    @asynccontextmanager
    async def open_recording(self, call: str, *, part: int, consent: str) -> AsyncIterator[FileRecording]:
        """See ``Recorder``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        comments = {
            "TITLE": f"Call {call}",
            "DATE": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "DESCRIPTION": "left: the caller, right: the agent",
        }
        if consent:
            comments["CONSENT"] = consent
        recording = FileRecording(self._folder / recording_key(call, part), comments, self._thread)
        self._recordings.add(recording)
        try:
            yield recording
        finally:
            recording.left = True

    async def _write(self) -> None:
        while True:
            await anyio.sleep(WRITE_EVERY)
            if self._recordings:
                await anyio.to_thread.run_sync(self._write_all, tuple(self._recordings), limiter=self._thread)
                # One that was left while this went on is closed the next time.
                self._recordings = {recording for recording in self._recordings if not recording.closed}

    @staticmethod
    def _write_all(recordings: tuple[FileRecording, ...]) -> None:
        for recording in recordings:
            recording.write()

    async def _clean(self) -> None:
        while True:
            oldest = time.time() - self._keep_days * _DAY
            await anyio.to_thread.run_sync(delete_older, self._folder, oldest, limiter=self._thread)
            await anyio.sleep(CLEAN_EVERY)


def delete_older(folder: Path, oldest: float) -> int:
    """Delete recordings that were written last before ``oldest``, seconds since the epoch; returns how many."""
    deleted = 0
    for file in folder.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest:
                file.unlink()
                deleted += 1
    return deleted
