"""From frames of 20 ms to RTP packets, at an even pace."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from struct import pack

from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE
from offhook.services.media.encoder import OpusEncoder

FRAME = 0.02
#: RTP clock ticks of a frame (48 kHz, RFC 7587 4.1).
TICKS = 960
#: A delay up to this is made up for by sending faster; beyond it time is given up, seconds.
MAX_BEHIND = 0.1
_SILENCE = bytes(MOUTH_FRAME)


class Speaking:
    """Takes a frame each 20 ms, encodes and sends it; silence when there is none, so that the caller sees we live.

    ``take`` gives ``MOUTH_FRAME`` bytes or None; ``send`` takes an RTP packet. Deadlines are counted from the start,
    so that what one sleep misses the next one makes up for: the pace does not drift.
    """

    def __init__(
        self, payload_type: int, ssrc: int, take: Callable[[], bytes | None], send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._encoder = OpusEncoder(MOUTH_RATE)
        self._payload_type = payload_type
        self._ssrc = ssrc
        self._take = take
        self._send = send
        # The lower half, so that the first wrap, where receivers may err about the roll-over counter, is far away.
        self._sequence = secrets.randbelow(0x8000)
        self._timestamp = secrets.randbits(32)
        self._begun = False
        self.packets = 0
        self.octets = 0

    @property
    def timestamp(self) -> int:
        """RTP timestamp of the next packet."""
        return self._timestamp

    async def run(self) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._send(self._packet(self._encoder.encode(self._take() or _SILENCE)))
            self._step(1)
            due += FRAME
            behind = loop.time() - due
            if behind > MAX_BEHIND:
                # The process stood still. A burst would only fill the caller's jitter buffer: let the time pass.
                missed = int(behind / FRAME)
                self._step(missed)
                due += missed * FRAME
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _step(self, frames: int) -> None:
        self._timestamp = (self._timestamp + frames * TICKS) % 2**32

    def _packet(self, payload: bytes) -> bytes:
        # The marker tells the beginning of a talkspurt (RFC 3551 4.1).
        marker = 0 if self._begun else 0x80
        self._begun = True
        header = pack("!BBHII", 0x80, marker | self._payload_type, self._sequence, self._timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) % 0x10000
        self.packets += 1
        self.octets += len(payload)
        return header + payload
