"""A caller that costs next to nothing, so that many fit beside the product on one machine.

Offer, ICE and DTLS are aiortc's; then its media path is taken away: packets that were encoded before are encrypted and
sent, and packets that come are only counted, with the kernel's own time of arrival, so that a caller who is busy does
not blame the server for it.
"""

import asyncio
import os
import random
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av import AudioFrame

from offhook.services.media.encoder import OpusEncoder

#: Linux: the time of arrival of each datagram, seconds and nanoseconds, beside the data (socket(7)).
_SO_TIMESTAMPNS = 35
#: Bytes of a 20 ms frame at 16 kHz.
_FRAME = 640


class _NoMicrophone(MediaStreamTrack):
    kind = "audio"

    async def recv(self) -> AudioFrame:
        raise AssertionError("nobody reads this track")


async def _nothing(parameters: object) -> None:
    """Start no thread and no task of aiortc's."""


def encode(pcm: bytes) -> list[bytes]:
    """Opus packets of 20 ms for s16le mono at 16 kHz."""
    encoder = OpusEncoder(16_000)
    padded = pcm + bytes(-len(pcm) % _FRAME)
    return [encoder.encode(padded[at : at + _FRAME]) for at in range(0, len(padded), _FRAME)]


@dataclass
class Arrivals:
    """What came so far."""

    packets: int = 0
    #: Kernel times of arrival, seconds since the epoch; kept only while ``keep`` is set.
    times: list[float] | None = None
    keep: bool = False


class LightCaller:
    """One caller, with the methods of the wire tests' caller that a ``GatewayClient`` needs."""

    def __init__(self, silence: list[bytes], address: str = "127.0.0.1") -> None:
        self.arrivals = Arrivals()
        self._silence = silence
        self._queue: list[bytes] = []
        self._address = address
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._transceiver: Any = self._pc.addTransceiver(_NoMicrophone(), direction="sendrecv")
        ends: Any = self._transceiver
        ends.sender.send = ends.receiver.receive = _nothing
        self._sequence, self._timestamp = random.randrange(2**15), random.randrange(2**31)
        self._ssrc = random.getrandbits(32)
        self._pacing: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None
        self._protocol: Any = None
        #: The last packet as it went over the wire.
        self.last_sent = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def offer(self) -> str:
        """The SDP offer, candidates included."""
        ice = self._dtls.transport.iceGatherer._connection
        gather = ice.get_component_candidates

        async def on_address(component: int, addresses: list[str], timeout: int = 5) -> Any:  # noqa: ARG001
            return await gather(component, [self._address], timeout)

        ice.get_component_candidates = on_address
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return str(self._pc.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the server's answer; the connection comes up in the background."""
        await self._pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def wait_connected(self, timeout: float = 5.0) -> None:
        """Wait until audio flows. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout):
            while self._pc.connectionState != "connected":
                await asyncio.sleep(0.02)
        self._take_over()
        self._pacing = asyncio.create_task(self._pace())

    def say(self, packets: list[bytes]) -> None:
        """Queue encoded speech."""
        self._queue += packets

    @property
    def saying(self) -> bool:
        """Whether something queued was not yet sent."""
        return bool(self._queue)

    @property
    def target(self) -> tuple[str, int]:
        """Where its packets go; once it is connected."""
        address: tuple[str, int] = self._to
        return address

    def send_raw(self, datagram: bytes) -> None:
        """Send any bytes from this caller's own address."""
        if self._socket is not None:
            self._socket.sendto(datagram, self._to)

    def vanish(self) -> None:
        """Stop sending and answering without a word."""
        self._stop()
        if self._protocol is not None:
            self._protocol.transport.abort()

    async def close(self) -> None:
        """Hang up."""
        self._stop()
        await self._pc.close()
        if self._pacing is not None:
            await asyncio.wait([self._pacing])

    def _stop(self) -> None:
        if self._pacing is not None:
            self._pacing.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    @property
    def _dtls(self) -> Any:
        return self._transceiver.sender.transport

    def _take_over(self) -> None:
        pair = self._dtls.transport._connection._nominated[1]
        self._protocol, self._to = pair.protocol, pair.remote_addr
        transport = self._protocol.transport
        loop: Any = asyncio.get_running_loop()
        loop._remove_reader(transport.get_extra_info("socket").fileno())
        # A socket object of our own on the same port: asyncio's may only be looked at.
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        loop.add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data, beside, _, _ = self._socket.recvmsg(2048, 64)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if data and 128 <= data[0] < 192:
                if not 192 <= data[1] <= 223:
                    self._count(beside)
            else:
                self._protocol.datagram_received(data, self._to)

    def _count(self, beside: list[tuple[int, int, bytes]]) -> None:
        self.arrivals.packets += 1
        if self.arrivals.keep:
            seconds, nanoseconds = struct.unpack("qq", beside[0][2])
            times = self.arrivals.times = self.arrivals.times or []
            times.append(seconds + nanoseconds / 1e9)

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        due, quiet = loop.time() + random.random() * 0.02, 0
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            # A machine that stood still makes up for half a second of it, no more.
            due = max(due + 0.02, loop.time() - 0.5)
            if self._queue:
                packet = self._queue.pop(0)
            else:
                packet, quiet = self._silence[quiet % len(self._silence)], quiet + 1
            self._sequence, self._timestamp = (self._sequence + 1) % 2**16, (self._timestamp + 960) % 2**32
            header = struct.pack("!BBHII", 0x80, self._payload_type, self._sequence, self._timestamp, self._ssrc)
            self.last_sent = self._dtls._tx_srtp.protect(header + packet)
            self.send_raw(self.last_sent)

    @property
    def _payload_type(self) -> int:
        return next(int(c.payloadType) for c in self._transceiver._codecs if c.mimeType.lower() == "audio/opus")
