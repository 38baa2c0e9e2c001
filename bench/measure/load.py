"""A caller that costs next to nothing, so that one core can call a server on another core hundreds of times.

aiortc sets the call up as any caller's library would. Once the keys are there its media is put aside: packets that
were encoded before the run are given a header, encrypted and sent, 50 a second for each call; of what comes back the
time and the header are noted, and for a call that is a probe the packet itself, to be decoded after the run.
"""

import asyncio
import random
import struct
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcdtlstransport import RTCCertificate

#: What a server is asked: the offer in, the answer out.
Exchange = Callable[[str], Awaitable[str]]

FRAME = 0.02
TICKS = 960
#: The calls are spread over so many moments of each 20 ms.
SLOTS = 10
#: A call that is not up, or has no packet, after this is given up, seconds.
PATIENCE = 15.0
#: Packets between two sender reports, as browsers send them about every five seconds.
REPORT_EVERY = 250
_NTP_EPOCH = 2_208_988_800

_CERTIFICATE = RTCCertificate.generateCertificate()


class _NoTrack(MediaStreamTrack):
    kind = "audio"

    async def recv(self) -> Any:
        """Nothing, ever: the load is sent past aiortc."""
        await asyncio.Event().wait()


class LoadCall:
    """One call: ``connect``, then the pacer has it ``send``; ``close`` it. ``loss`` of its packets stay here."""

    def __init__(self, frames: Sequence[bytes], *, probe: bool = False, loss: float = 0.0, seed: int = 0) -> None:
        self._frames = frames
        self._probe = probe
        self._loss = loss
        self._chance = random.Random(seed)
        self._at = 0 if probe else self._chance.randrange(len(frames))
        self._sequence = self._chance.randrange(0x7000)
        self._timestamp = self._chance.randrange(2**31)
        self._up = False
        self._first = asyncio.Event()
        self.sent = 0
        #: When each packet of a probe was sent; when each packet arrived; its sequence number.
        self.departures = array("d")
        self.arrivals = array("d")
        self.sequences = array("H")
        self.packets: list[bytes] = []
        #: Seconds from the offer to the first packet.
        self.setup = 0.0

    async def connect(self, exchange: Exchange) -> None:
        """Set the call up and wait for its first packet. Raises ``TimeoutError``, ``ConnectionError``, ``OSError``."""
        self._pc = pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = pc.addTransceiver(_NoTrack(), direction="sendrecv")
        opus = [c for c in RTCRtpSender.getCapabilities("audio").codecs if c.mimeType == "audio/opus"]
        transceiver.setCodecPreferences(opus)
        sender: Any = transceiver.sender
        receiver: Any = transceiver.receiver
        dtls = sender.transport
        dtls._RTCDtlsTransport__local_certificate = (
            _CERTIFICATE  # making one for each call is the caller's cost, not the server's
        )
        _keep_on_loopback(dtls.transport.iceGatherer._connection)
        negotiated: list[Any] = []

        async def start(parameters: Any) -> None:
            negotiated.append(parameters)

        sender.send = receiver.receive = start
        changed = asyncio.Event()
        pc.on("connectionstatechange", changed.set)
        await pc.setLocalDescription(await pc.createOffer())
        begun = time.perf_counter()
        answer = await asyncio.wait_for(exchange(pc.localDescription.sdp), PATIENCE)
        await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        async with asyncio.timeout(PATIENCE):
            while pc.connectionState != "connected":
                if pc.connectionState in ("failed", "closed"):
                    raise ConnectionError(pc.connectionState)
                changed.clear()
                await changed.wait()
            self._take_over(dtls, sender, negotiated[0])
            await self._first.wait()
        self.setup = self.arrivals[0] - begun

    def _take_over(self, dtls: Any, sender: Any, parameters: Any) -> None:
        pair = dtls.transport._connection._nominated[1]
        self._transport, self._address = pair.protocol.transport, pair.remote_addr
        self._stun = pair.protocol.datagram_received
        pair.protocol.datagram_received = self._received
        self._outbound, self.inbound = dtls._tx_srtp, dtls._rx_srtp
        self._kind, self._ssrc = parameters.codecs[0].payloadType, sender._ssrc
        self._mid = _mid_extension(parameters)
        self._up = True

    def _received(self, data: bytes, address: tuple[str, int]) -> None:
        if not 128 <= data[0] < 192:
            self._stun(data, address)
        elif not 192 <= data[1] < 224:
            self.arrivals.append(time.perf_counter())
            self.sequences.append(data[2] << 8 | data[3])
            if self._probe:
                self.packets.append(data)
            if len(self.arrivals) == 1:
                self._first.set()

    def send(self) -> None:
        """Send the packet that is due."""
        if not self._up or self._transport.is_closing():
            return
        payload = self._frames[self._at]
        self._at = (self._at + 1) % len(self._frames)
        header = struct.pack(
            "!BBHII", 0x90 if self._mid else 0x80, self._kind, self._sequence, self._timestamp, self._ssrc
        )
        self._sequence = (self._sequence + 1) % 2**16
        self._timestamp = (self._timestamp + TICKS) % 2**32
        self.sent += 1
        packet = self._outbound.protect(header + self._mid + payload)
        if self._loss == 0.0 or self._chance.random() >= self._loss:
            self._transport.sendto(packet, self._address)
        if self._probe:
            self.departures.append(time.perf_counter())
        if self.sent % REPORT_EVERY == REPORT_EVERY // 10:
            self._transport.sendto(self._outbound.protect_rtcp(self._report()), self._address)

    def _report(self) -> bytes:
        """A sender report without reception blocks, and a name (RFC 3550 6.4.1, 6.5)."""
        ntp = int((time.time() + _NTP_EPOCH) * 2**32)
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, self._ssrc, ntp, self._timestamp, self.sent, self.sent * 80)
        name = struct.pack("!BBHIBB4sxx", 0x81, 202, 3, self._ssrc, 1, 4, b"load")
        return bytes(report + name)

    async def close(self) -> None:
        """Hang up."""
        self._up = False
        await asyncio.wait_for(self._pc.close(), PATIENCE)


def _keep_on_loopback(ice: Any) -> None:
    gather = ice.get_component_candidates

    async def on_loopback(component: int, addresses: list[str], timeout: int = 5) -> Any:  # noqa: ARG001
        return await gather(component, ["127.0.0.1"], timeout)

    ice.get_component_candidates = on_loopback


def _mid_extension(parameters: Any) -> bytes:
    """The header extension that names the section (RFC 8843 15), as browsers send it when it was agreed on."""
    for extension in parameters.headerExtensions:
        if extension.uri.endswith(":mid"):
            mid = parameters.muxId.encode()
            body: bytes = bytes([extension.id << 4 | len(mid) - 1]) + mid
            body += bytes(-len(body) % 4)
            return struct.pack("!HH", 0xBEDE, len(body) // 4) + body
    return b""


class Pacer:
    """Sends for all calls, spread evenly over the 20 ms."""

    def __init__(self) -> None:
        self._slots: list[list[LoadCall]] = [[] for _ in range(SLOTS)]

    def add(self, call: LoadCall) -> None:
        """Send for a call from now on."""
        min(self._slots, key=len).append(call)

    def remove(self, call: LoadCall) -> None:
        """Send for it no more."""
        for slot in self._slots:
            if call in slot:
                slot.remove(call)

    async def run(self) -> None:
        """Send until cancelled; a delay is made up for, up to half a second."""
        due, number = time.perf_counter(), 0
        while True:
            for call in self._slots[number % SLOTS]:
                call.send()
            number += 1
            due = max(due + FRAME / SLOTS, time.perf_counter() - 0.5)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
