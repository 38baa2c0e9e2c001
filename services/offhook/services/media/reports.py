"""RTCP reports of one call (RFC 3550 6.4): what we sent, and how the caller's packets arrive."""

import time

from aiortc.clock import current_ntp_time
from aiortc.rtp import (
    AnyRtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from offhook.protocol.jitter import Counts
from offhook.protocol.quality import Quality, rate
from offhook.protocol.reception import Reception
from offhook.protocol.rtp import CLOCK

CNAME = (1, b"offhook")
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

    def count(self, source: int, sequence: int, timestamp: int) -> None:
        """A media packet of the caller: its SSRC and numbers."""
        if source != self._caller:
            self._lost_before += self._stream.lost
            self._received_before += self._stream.expected - self._stream.lost
            self._caller, self._stream, self._last_report = source, Reception(), (0, 0.0)
        self._stream.count(sequence, timestamp, time.monotonic())

    def hear(self, level: int | None) -> None:
        """How loud a packet of the caller is, dBov, if it tells."""
        if level is not None and (self._loudest is None or level > self._loudest):
            self._loudest = level

    def note(self, packet: AnyRtcpPacket) -> None:
        """A report of the caller."""
        if isinstance(packet, RtcpSrPacket | RtcpRrPacket):
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    self._note_reception(report)
        if isinstance(packet, RtcpSrPacket) and packet.ssrc == self._caller:
            self._last_report = (packet.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF, time.monotonic())

    def write(self, timestamp: int, packets: int, octets: int) -> bytes:
        """The compound packet; ``timestamp`` is the RTP time of now, the others count what was sent."""
        sender = RtcpSenderInfo(
            ntp_timestamp=current_ntp_time(),
            rtp_timestamp=timestamp,
            packet_count=packets % 2**32,
            octet_count=octets % 2**32,
        )
        report = RtcpSrPacket(ssrc=self._ssrc, sender_info=sender, reports=self._reception())
        names = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=self._ssrc, items=[CNAME])])
        return bytes(report) + bytes(names)

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

    def _note_reception(self, report: RtcpReceiverInfo) -> None:
        self._lost_there, self._jitter_there = report.packets_lost, report.jitter / CLOCK
        if report.lsr:
            # RFC 3550 6.4.1: now, less when our report was sent, less how long it lay there; in units of 1/65536 s.
            away = ((current_ntp_time() >> 16) - report.lsr - report.dlsr) % 2**32 / 65536
            if away < MAX_ROUND_TRIP:
                self._round_trip = away

    def _reception(self) -> list[RtcpReceiverInfo]:
        if self._caller is None:
            return []
        middle, came = self._last_report
        # Each field is bounded by its width: the caller chooses its timestamps and sequence numbers.
        return [
            RtcpReceiverInfo(
                ssrc=self._caller,
                fraction_lost=min(int(256 * self._stream.report_loss()), 255),
                packets_lost=max(-(2**23), min(self._stream.lost, 2**23 - 1)),
                highest_sequence=self._stream.highest % 2**32,
                jitter=min(int(self._stream.jitter), 2**32 - 1),
                lsr=middle,
                dlsr=min(int((time.monotonic() - came) * 65536), 2**32 - 1) if middle else 0,
            )
        ]
