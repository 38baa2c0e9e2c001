"""Simulated recordings: no sound, but when each began and how long it lasted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from offhook.actors.ports import Recorded
from offhook.protocol.call import recording_key

#: Bytes that a second of a recording has.
BYTES_A_SECOND = 8_000


class SimulatedRecording:
    """One recording: the ``Recording`` port."""

    def __init__(self, recorder: "SimulatedRecorder", key: str) -> None:
        self.key = key
        self._recorder = recorder
        self._began = anyio.current_time()

    def heard(self, timestamp: int, payload: bytes) -> None:
        """See ``Tap``."""

    def sent(self, timestamp: int, payload: bytes) -> None:
        """See ``Tap``."""

    async def finish(self) -> Recorded:
        """See ``Recording``; takes as long as the recorder's disk does."""
        await anyio.sleep(self._recorder.seconds_to_write)
        seconds = anyio.current_time() - self._began
        self._recorder.finished.append(self.key)
        return Recorded(seconds=seconds, size=int(seconds * BYTES_A_SECOND), failure=self._recorder.failure)


class SimulatedRecorder:
    """Where simulated recordings are kept: the ``Recorder`` port."""

    def __init__(self) -> None:
        #: Keys of recordings that were begun, and of those that were finished; those that are open now.
        self.begun: list[str] = []
        self.finished: list[str] = []
        self.open = 0
        #: How long the disk takes, and what goes wrong with it; both may be changed.
        self.seconds_to_write = 0.0
        self.failure = ""

    @asynccontextmanager
    async def open_recording(self, call: str, *, part: int, consent: str) -> AsyncIterator[SimulatedRecording]:
        """See ``Recorder``."""
        recording = SimulatedRecording(self, recording_key(call, part))
        self.begun.append(recording.key)
        self.open += 1
        try:
            yield recording
        finally:
            self.open -= 1
