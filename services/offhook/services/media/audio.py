"""The audio of one call, between RTP packets on one side and an ``AudioLink`` on the other."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from aiortc.rtp import AnyRtcpPacket, RtpPacket

from offhook.actors.link import AudioLink
from offhook.protocol.sdp import Offer
from offhook.protocol.speech import EAR_RATE, MOUTH_RATE
from offhook.services.media.digits import Digits
from offhook.services.media.hearing import Hearing
from offhook.services.media.hold import HoldMusic
from offhook.services.media.opus import OpusDecoder
from offhook.services.media.reports import Reports
from offhook.services.media.speaking import Speaking

#: Frames the echo keeps before it begins and at most: enough to be smooth, too few to be a delay that grows.
ECHO_PREFILL = 2
ECHO_DEPTH = 8


class Echo:
    """The caller's own frames on their way back."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=ECHO_DEPTH)
        self._flowing = False

    def hear(self, frame: bytes) -> None:
        """A frame at ``MOUTH_RATE``; the oldest is dropped when too many wait."""
        self._frames.append(frame)

    def take(self) -> bytes | None:
        """The next frame, or None until some are there again."""
        self._flowing = len(self._frames) >= ECHO_PREFILL or (self._flowing and bool(self._frames))
        return self._frames.popleft() if self._flowing else None


class CallAudio:
    """Hears and speaks for one call; ``send`` takes RTP and RTCP packets, ``press`` a key of the caller."""

    def __init__(
        self,
        offer: Offer,
        ssrc: int,
        link: AudioLink | Echo,
        send: Callable[[bytes], Awaitable[None]],
        press: Callable[[str], None],
    ) -> None:
        self._offer = offer
        self._link = link
        self._send = send
        self._press = press
        self._hold: HoldMusic | None = None
        # An echo goes back at the rate at which it is encoded again.
        self._rate = MOUTH_RATE if isinstance(link, Echo) else EAR_RATE
        self._ssrc: int | None = None
        self._hearing: Hearing | None = None
        self._digits = Digits()
        self._reports = Reports(ssrc)
        self._speaking = Speaking(offer.opus, ssrc, self._take, send)

    def hold(self) -> None:
        """Play hold audio instead of the link; what the caller says is not passed on."""
        if self._hold is None:
            self._hold = HoldMusic()

    def resume(self) -> None:
        """Undo ``hold``."""
        self._hold = None

    def rtp(self, packet: RtpPacket) -> None:
        """A packet of the caller. One stream at a time: another SSRC begins anew (RFC 3550 8.2)."""
        if packet.payload_type not in (self._offer.opus, self._offer.digits):
            return
        if self._hearing is None or packet.ssrc != self._ssrc:
            self._ssrc = packet.ssrc
            self._hearing = Hearing(OpusDecoder(self._rate), self._rate, self._hear)
        self._reports.count(packet)
        if packet.payload_type == self._offer.opus:
            self._hearing.put(packet.sequence_number, packet.timestamp, packet.payload)
            return
        self._hearing.put(packet.sequence_number, packet.timestamp, None)
        key = self._digits.put(packet.timestamp, packet.payload)
        if key is not None:
            self._press(key)

    def rtcp(self, packet: AnyRtcpPacket) -> None:
        """A report of the caller."""
        self._reports.note(packet)

    async def run(self) -> None:
        """Speak, and report, until cancelled."""
        async with anyio.create_task_group() as group:
            if self._offer.direction in ("sendrecv", "sendonly"):
                group.start_soon(self._speaking.run)
            group.start_soon(self._report)

    async def _report(self) -> None:
        while True:
            # Spread, so that reports of many calls do not come at once (RFC 3550 6.2).
            await asyncio.sleep(0.5 + random.random())  # noqa: S311
            speaking = self._speaking
            await self._send(self._reports.write(speaking.timestamp, speaking.packets, speaking.octets))

    def _hear(self, frame: bytes) -> None:
        if self._hold is None:
            self._link.hear(frame)

    def _take(self) -> bytes | None:
        return self._link.take() if self._hold is None else self._hold.take()
