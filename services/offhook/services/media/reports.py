"""RTCP reports of one call (RFC 3550 6.4): what we sent, and how the caller's packets arrive."""

import time

from offhook.protocol.jitter import Counts
from offhook.protocol.quality import Quality, rate
from offhook.protocol.reception import Reception
from offhook.protocol.rtcp import Block, Report, Sender, middle, ntp_time, write_reports
from offhook.protocol.rtp import CLOCK

#: The name of our source.
CNAME = "offhook"
#: A way there and back that takes longer is a mistake of the caller's arithmetic, seconds.
MAX_ROUND_TRIP = 10.0


class Reports:
    """Statistics of the caller's stream, and the compound packet that tells them."""

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._caller: int | None = None
        self._stream = Reception()
        #: Packets of sources that the caller used before.
        self._received_before = self._lost_before = 0
        #: What the caller reports of our packets.
        self._lost_there = 0
        self._jitter_there = 0.0
        self._round_trip: float | None = None
        #: Middle bits of the NTP time in the caller's last report, and when it came.
        self._last_report = (0, 0.0)
        self._loudest: int | None = None

    def count(self, source: int, sequence: int, timestamp: int | None) -> None:
        """A media packet of the caller: its SSRC and numbers; see ``Reception``."""
        if source != self._caller:
            self._lost_before += self._stream.lost
            self._received_before += self._stream.expected - self._stream.lost
            self._caller, self._stream, self._last_report = source, Reception(), (0, 0.0)
        self._stream.count(sequence, timestamp, time.monotonic())

    def hear(self, level: int | None) -> None:
        """How loud a packet of the caller is, dBov, if it tells."""
        if level is not None and (self._loudest is None or level > self._loudest):
            self._loudest = level

    def note(self, report: Report) -> None:
        """A report of the caller."""
        for block in report.blocks:
            if block.source == self._ssrc:
                self._note_reception(block)
        if report.sender is not None and report.source == self._caller:
            self._last_report = (middle(report.sender.ntp), time.monotonic())

    def write(self, timestamp: int, packets: int, octets: int) -> bytes:
        """The compound packet; ``timestamp`` is the RTP time of now, the others count what was sent."""
        sender = Sender(ntp_time(time.time()), timestamp, packets, octets)
        return write_reports(self._ssrc, sender, self._reception(), CNAME)

    def quality(self, counts: Counts, *, delay: float, sent: int) -> Quality:
        """How the audio has fared: ``counts`` and ``delay`` of the jitter buffer, packets ``sent``."""
        stream = self._stream
        lost = self._lost_before + stream.lost
        return rate(
            Quality(
                received=self._received_before + stream.expected - stream.lost,
                lost=max(0, lost),
                jitter=stream.jitter / CLOCK,
                heard=counts.decoded / CLOCK,
                recovered=counts.recovered / CLOCK,
                concealed=counts.concealed / CLOCK,
                delay=delay,
                sent=sent,
                lost_there=max(0, self._lost_there),
                jitter_there=self._jitter_there,
                round_trip=self._round_trip,
                loudest=self._loudest,
            )
        )

    def _note_reception(self, block: Block) -> None:
        self._lost_there, self._jitter_there = block.lost, block.jitter / CLOCK
        if block.last_report:
            # RFC 3550 6.4.1: now, less when our report was sent, less how long it lay there; in units of 1/65536 s.
            away = (middle(ntp_time(time.time())) - block.last_report - block.delay) % 2**32 / 65536
            if away < MAX_ROUND_TRIP:
                self._round_trip = away

    def _reception(self) -> list[Block]:
        if self._caller is None:
            return []
        last_report, came = self._last_report
        return [
            Block(
                source=self._caller,
                fraction=int(256 * self._stream.report_loss()),
                lost=self._stream.lost,
                highest=self._stream.highest,
                jitter=int(self._stream.jitter),
                last_report=last_report,
                delay=int((time.monotonic() - came) * 65536) if last_report else 0,
            )
        ]
