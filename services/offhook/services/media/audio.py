"""The audio of one call, between RTP packets on one side and an ``AudioLink`` on the other."""

import random
from collections.abc import Callable
from functools import partial

import anyio

from offhook.actors.link import AudioLink
from offhook.actors.ports import Tap
from offhook.protocol.jitter import Counts, sum_of
from offhook.protocol.quality import Quality
from offhook.protocol.rtcp import Report
from offhook.protocol.rtp import RtpPacket, level_of
from offhook.protocol.sdp import Offer
from offhook.protocol.speech import EAR_RATE
from offhook.protocol.telephone_event import Digits, Keypad
from offhook.services.media.codec import open_decoder
from offhook.services.media.hearing import Hearing
from offhook.services.media.hold import HoldMusic
from offhook.services.media.reports import Reports
from offhook.services.media.room import Line, to_nobody
from offhook.services.media.speaking import Speaking
from offhook.services.media.ticker import Ticker

#: Frames of 20 ms from one report to the next, on average: a second.
REPORT_EVERY = 50


class CallAudio:
    """Hears and speaks for one call; ``send`` takes RTP and RTCP packets, ``press`` a key of the caller.

    Without a link the caller's own packets go back to it as they came, never decoded.
    """

    def __init__(
        self,
        offer: Offer,
        ssrc: int,
        link: AudioLink | Line | None,
        send: Callable[[bytes], None],
        press: Callable[[str], None],
        ticker: Ticker,
        *,
        tap: Tap | None = None,
    ) -> None:
        self._offer = offer
        self._sends = offer.direction in ("sendrecv", "sendonly")
        self._link: AudioLink | Line | None = link
        #: True while there is a way to the caller, and it wants to hear.
        self._is_up = False
        self._send = send
        self._press = press
        self._ticker = ticker
        self._tap = tap
        self._hold: HoldMusic | None = None
        self._ssrc = ssrc
        self._caller: int | None = None
        self._hearing: Hearing | None = None
        #: What became of the packets of streams that are over.
        self._heard = Counts()
        #: How long the last packet of them had waited, seconds.
        self._waited = 0.0
        self._digits = Digits()
        self._reports = Reports(ssrc)
        self._keypad = None if offer.digits is None else Keypad(offer.digits_rate)
        self._speaking = Speaking(
            offer.opus,
            ssrc,
            self._take,
            send,
            sent=None if tap is None else self._sent,
            keys=None if self._keypad is None or offer.digits is None else (offer.digits, self._keypad.frame),
        )

    def connect(self, link: AudioLink | Line | None) -> None:
        """From now on the other side is ``link``: an agent, or a line of a room; None: the caller hears itself."""
        self._leave_line()
        self._stop_hearing()
        self._link = link
        self._take_line()

    def hold(self) -> None:
        """Play hold audio instead of the link; what the caller says is not passed on."""
        if self._hold is None:
            self._hold = HoldMusic()
            self._speaking.play(self._hold.take)
            self._stop_hearing()

    def resume(self) -> None:
        """Undo ``hold``."""
        self._hold = None
        self._speaking.play(None)

    def dial(self, keys: str) -> bool:
        """Send keys, one after the other; False when the other side takes none. Raises ``ValueError``."""
        if self._keypad is None or not self._sends:
            return False
        self._keypad.press(keys)
        return True

    def rtp(self, packet: RtpPacket) -> bool:
        """A packet of the caller; False: of a payload type that was not agreed, and not looked at.

        One stream at a time: another SSRC begins anew (RFC 3550 8.2).
        """
        kind, marker, sequence, timestamp, source, payload, extension = packet
        if kind not in (self._offer.opus, self._offer.digits):
            return False
        if source != self._caller:
            self._caller = source
            self._stop_hearing()
        sound = payload if kind == self._offer.opus else None
        self._reports.count(source, sequence, None if sound is None else timestamp)
        if sound is None:
            self._key(timestamp, payload)
        elif extension and self._offer.level is not None:
            self._reports.hear(level_of(extension, self._offer.level))
        if self._hold is None:
            self._pass_on(source, marker, sequence, timestamp, sound)
        return True

    def rtcp(self, report: Report) -> None:
        """A report of the caller."""
        self._reports.note(report)
        for block in report.blocks:
            if block.source == self._ssrc:
                self._speaking.expect_loss(block.fraction / 256)

    @property
    def quality(self) -> Quality:
        """How the audio has fared so far."""
        counts = self._heard if self._hearing is None else sum_of(self._heard, self._hearing.counts)
        delay = self._waited if self._hearing is None else self._hearing.delay
        return self._reports.quality(counts, delay=delay, sent=self._speaking.packets)

    async def run(self) -> None:
        """Speak, and report, until cancelled."""
        self._is_up = self._sends
        self._take_line()
        try:
            async with anyio.create_task_group() as group:
                if self._sends:
                    group.start_soon(self._ticker.run, self._speaking.tick)
                group.start_soon(partial(self._ticker.run, self._report, wait=REPORT_EVERY))
        finally:
            self._leave_line()
            self._stop_hearing()
            self._is_up = False

    def _take_line(self) -> None:
        """Be the leg that a line of a room sends to. The one before it, if the caller has come back, is so no more."""
        if self._is_up and isinstance(self._link, Line):
            self._link.relay = self._speaking.relay

    def _leave_line(self) -> None:
        """Let a line send to nobody, unless it is another leg's already."""
        if isinstance(self._link, Line) and self._link.relay == self._speaking.relay:
            self._link.relay = to_nobody

    def _report(self, frame: int) -> int:
        speaking = self._speaking
        self._send(self._reports.write(speaking.timestamp(frame), speaking.packets, speaking.octets))
        # Spread, so that reports of many calls do not come at once (RFC 3550 6.2).
        return random.randrange(REPORT_EVERY // 2, REPORT_EVERY * 3 // 2)  # noqa: S311

    def _pass_on(self, source: int, marker: bool, sequence: int, timestamp: int, sound: bytes | None) -> None:
        if self._tap is not None and sound is not None:
            self._tap.heard(timestamp, sound)
        if isinstance(self._link, Line):
            self._link.packet(source, marker, sequence, timestamp, sound)
        elif self._link is not None:
            self._hear(self._link, sequence, timestamp, sound)
        elif sound is not None and self._sends:
            self._speaking.relay(source, marker, sequence, timestamp, sound)

    def _hear(self, link: AudioLink, sequence: int, timestamp: int, payload: bytes | None) -> None:
        if self._hearing is None:
            self._hearing = Hearing(open_decoder(EAR_RATE), link.hear)
        self._hearing.put(sequence, timestamp, payload)

    def _stop_hearing(self) -> None:
        if self._hearing is not None:
            self._heard = sum_of(self._heard, self._hearing.counts)
            self._waited = self._hearing.delay
            self._hearing.close()
            self._hearing = None

    def _key(self, timestamp: int, payload: bytes) -> None:
        key = self._digits.put(timestamp, payload)
        if key is not None:
            self._press(key)

    def _sent(self, timestamp: int, payload: bytes) -> None:
        if self._tap is not None and self._hold is None:
            self._tap.sent(timestamp, payload)

    def _take(self) -> bytes | None:
        return None if self._link is None else self._link.take()
