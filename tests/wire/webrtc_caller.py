"""A caller over the real wire, for tests and benchmarks: an aiortc peer connection on 127.0.0.1.

It is aiortc's own ``RTCPeerConnection`` and shares no code with the server's media, so that the two cannot agree on a
mistake. Several may run in one process.
"""

import asyncio
import time
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import soxr
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

RATE = 48_000
FRAME = RATE // 50


class _Microphone(MediaStreamTrack):
    """Silence, and what ``say`` queued, paced by the clock."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.queue = np.zeros(0, np.int16)
        self._sent = 0
        self._began: float | None = None

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        await asyncio.sleep(max(0.0, self._began + self._sent / RATE - loop.time()))
        if self.readyState != "live":
            raise MediaStreamError
        piece, self.queue = self.queue[:FRAME], self.queue[FRAME:]
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(np.pad(piece, (0, FRAME - len(piece))).tobytes())
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), self._sent
        self._sent += FRAME
        return frame


class _Nowhere:
    """A transport that loses everything."""

    def sendto(self, data: bytes, address: object) -> None:
        """Lose it."""


class WebRtcCaller:
    """One caller. ``offer``, ``accept`` the answer, ``say`` something, look at ``heard``; ``close`` or use as context.

    ``heard`` is what was received so far: (arrival in ``time.monotonic`` seconds, s16le mono at 48 kHz) per 20 ms
    frame.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.heard: list[tuple[float, bytes]] = []
        self._microphone = _Microphone()
        self._address = address
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._reader: asyncio.Task[None] | None = None
        self._pc.on("track", self._track)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> str:
        """Connection state: new, connecting, connected, failed or closed."""
        return str(self._pc.connectionState)

    @property
    def socket_address(self) -> tuple[str, int]:
        """Where this caller receives."""
        candidate = self._ice.local_candidates[0]
        return candidate.host, candidate.port

    @property
    def user(self) -> str:
        """Its own ICE user."""
        return str(self._ice.local_username)

    @property
    def _ice(self) -> Any:
        return self._pc.getTransceivers()[0].receiver.transport.transport.iceGatherer._connection

    async def offer(self) -> str:
        """The SDP offer, candidates included."""
        self._pc.addTrack(self._microphone)
        self._stay_on_address()
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return str(self._pc.localDescription.sdp)

    async def answer(self, offer: str) -> str:
        """The SDP answer to an offer of the server, candidates included; the connection comes up in the background."""
        await self._pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._pc.addTrack(self._microphone)
        self._stay_on_address()
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        return str(self._pc.localDescription.sdp)

    def _stay_on_address(self) -> None:
        ice = self._ice
        gather = ice.get_component_candidates

        async def on_address(component: int, addresses: list[str], timeout: int = 5) -> Any:
            return await gather(component, [self._address], timeout)

        ice.get_component_candidates = on_address

    async def accept(self, answer: str) -> None:
        """Take the server's answer; the connection comes up in the background."""
        await self._pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def wait_connected(self, timeout: float = 5.0) -> None:
        """Wait until audio can flow. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout):
            while self.state != "connected":
                await asyncio.sleep(0.005)

    async def wait_heard(self, frames: int, timeout: float = 5.0) -> None:
        """Wait until so many frames of 20 ms were received. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout):
            while len(self.heard) < frames:
                await asyncio.sleep(0.01)

    def say(self, sound: bytes | str | Path, rate: int = 16_000) -> float:
        """Queue speech (s16le mono at ``rate``, or a mono wav file); returns its length in seconds."""
        if isinstance(sound, bytes):
            pcm = sound
        else:
            with wave.open(str(sound)) as file:
                rate, pcm = file.getframerate(), file.readframes(file.getnframes())
        samples = np.frombuffer(pcm, "<i2")
        at_48k = soxr.resample(samples, rate, RATE) if rate != RATE else samples
        self._microphone.queue = np.concatenate([self._microphone.queue, at_48k.astype(np.int16)])
        return len(samples) / rate

    @property
    def saying(self) -> bool:
        """Whether something queued was not yet sent."""
        return len(self._microphone.queue) > 0

    def heard_pcm(self, rate: int = RATE) -> bytes:
        """Everything received so far, s16le mono at ``rate``."""
        pcm = np.frombuffer(b"".join(pcm for _, pcm in self.heard), "<i2")
        return bytes((soxr.resample(pcm, RATE, rate) if rate != RATE else pcm).astype("<i2").tobytes())

    async def close(self) -> None:
        """Hang up."""
        await self._pc.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    def vanish(self) -> None:
        """Stop sending and receiving without a word, as a phone in a tunnel does."""
        for protocol in self._ice._protocols:
            protocol.transport.abort()

    def mute_network(self, muted: bool) -> None:
        """Lose every packet this caller sends, until it is unmuted."""
        protocol = self._ice._protocols[0]
        if muted:
            self._transport, protocol.transport = protocol.transport, _Nowhere()
        else:
            protocol.transport = self._transport

    async def send_packet(self, packet: bytes) -> None:
        """Encrypt and send any RTP or RTCP packet."""
        await self._pc.getTransceivers()[0].sender.transport._send_rtp(packet)

    def note_sent(self) -> list[bytes]:
        """Every datagram that this caller sends from now on, as it goes over the wire."""
        noted: list[bytes] = []
        protocol = self._ice._protocols[0]
        send = protocol.send_data

        async def send_data(data: bytes, address: tuple[str, int]) -> None:
            noted.append(data)
            await send(data, address)

        protocol.send_data = send_data
        return noted

    def keep_quiet(self) -> None:
        """Send no audio and no reports any more, as a phone with nothing to say does; the connection stands."""

        async def lose(data: bytes) -> None:
            """Lose it."""

        self._pc.getTransceivers()[0].sender.transport._send_rtp = lose  # type: ignore[method-assign]

    def _track(self, track: MediaStreamTrack) -> None:
        self._reader = asyncio.create_task(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                stereo = frame.to_ndarray().reshape(-1, 2)
                self.heard.append((time.monotonic(), stereo[:, 0].astype("<i2").tobytes()))
        except MediaStreamError:
            return
