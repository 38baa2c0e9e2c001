"""A caller that notes when each packet leaves and arrives, and how loud it is.

It is the caller of the wire tests with two watchers: one on the frames that its microphone gives out, one on the RTP
packets that come in, before the caller's own jitter buffer (which would add its depth to every figure).
"""

import asyncio
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import soxr

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests" / "wire"))
from gateway_client import GatewayClient
from webrtc_caller import FRAME, RATE

from offhook.protocol.speech import EAR_RATE
from offhook.services.media.opus import OpusDecoder

#: A frame louder than this, dBFS, is sound: speech ends and begins there.
SOUND = -45.0
#: Seconds of silence after which an agent is taken to have finished.
PAUSE = 0.9


class MeasuredCaller:
    """Watches a client's media; attach it before the offer is made."""

    def __init__(self, client: GatewayClient) -> None:
        self.client = client
        #: Arrival (``time.monotonic``) and loudness (dBFS) of each 20 ms of the agent's.
        self.arrived: list[tuple[float, float]] = []
        #: When the frame that begins at this sample of the microphone was given out.
        self._left: dict[int, float] = {}
        self._decoder = OpusDecoder(EAR_RATE)
        self._watch_microphone()

    def _watch_microphone(self) -> None:
        microphone: Any = self.client.caller._microphone
        give = microphone.recv

        async def recv() -> Any:
            frame = await give()
            self._left[frame.pts] = time.monotonic()
            return frame

        microphone.recv = recv

    async def offer_sdp(self) -> str:
        """The caller's offer."""
        sdp = await self.client.caller.offer()
        receiver: Any = self.client.caller._pc.getTransceivers()[0].receiver
        take = receiver._handle_rtp_packet

        async def handle(packet: Any, arrival_time_ms: int) -> None:
            self.arrived.append((time.monotonic(), loudness(self._decoder.decode(packet.payload))))
            await take(packet, arrival_time_ms)

        receiver._handle_rtp_packet = handle
        return sdp

    async def say(self, pcm: bytes) -> float:
        """Speak (``EAR_RATE``) and return when the last sound of it was sent (``time.monotonic``)."""
        microphone: Any = self.client.caller._microphone
        first = microphone._sent
        self.client.caller.say(pcm)
        last = first + last_sound(pcm) * RATE // EAR_RATE // FRAME * FRAME
        while last not in self._left:
            await asyncio.sleep(0.01)
        return self._left[last]

    async def wait_sound(self, since: float, seconds: float) -> float | None:
        """When the first sound after ``since`` arrived; None if none did for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.client.closed is None:
            if (found := self.first_sound(since)) is not None:
                return found
            await asyncio.sleep(0.02)
        return None

    def first_sound(self, since: float) -> float | None:
        """When the first sound after ``since`` arrived, as far as is known."""
        loud = [at for at, level in self._latest(since) if level > SOUND]
        return loud[-1] if loud else None

    async def wait_quiet(self, seconds: float = 30.0) -> None:
        """Wait until the agent has finished."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.client.closed is None:
            now = time.monotonic()
            if self.arrived and self.first_sound(now - PAUSE) is None:
                return
            await asyncio.sleep(0.02)

    def _latest(self, since: float) -> Iterator[tuple[float, float]]:
        """The packets that arrived after ``since``, newest first."""
        return takewhile(lambda packet: packet[0] > since, reversed(self.arrived))


def loudness(pcm: bytes) -> float:
    """dBFS of s16le samples."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768
    return float(10 * np.log10(np.mean(samples**2) + 1e-12)) if len(samples) else -120.0


def frames_of(pcm: bytes) -> list[float]:
    """Loudness of each 20 ms of ``EAR_RATE`` audio."""
    size = EAR_RATE // 50 * 2
    return [loudness(pcm[at : at + size]) for at in range(0, len(pcm), size)]


def last_sound(pcm: bytes) -> int:
    """The first sample of the last loud frame of 20 ms."""
    return max(index for index, level in enumerate(frames_of(pcm)) if level > SOUND) * EAR_RATE // 50


def speak(text: str, voice: str = "slt") -> bytes:
    """A sentence by flite, ``EAR_RATE``; each comma is a pause of 0.35 s exactly."""
    pause = bytes(int(0.35 * EAR_RATE) * 2)
    return pause.join(_flite(part, voice) for part in text.split(","))


def _flite(text: str, voice: str) -> bytes:
    """The sound of a part of a sentence, from its first loud frame to its last."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", file.name], check=True)
        with wave.open(file.name) as sound:
            samples, rate = np.frombuffer(sound.readframes(sound.getnframes()), "<i2"), sound.getframerate()
    pcm = soxr.resample(samples, rate, EAR_RATE).astype("<i2").tobytes()
    loud = [index for index, level in enumerate(frames_of(pcm)) if level > SOUND]
    size = EAR_RATE // 50 * 2
    return bytes(pcm[loud[0] * size : (loud[-1] + 1) * size])
