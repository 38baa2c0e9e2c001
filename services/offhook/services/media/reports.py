"""RTCP reports of one call (RFC 3550 6.4): what we sent, and how the caller's packets arrive."""

import time

from aiortc.clock import current_ntp_time
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import (
    AnyRtcpPacket,
    RtcpReceiverInfo,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    RtpPacket,
)

from offhook.protocol.rtp import CLOCK

CNAME = (1, b"offhook")


class Reports:
    """Statistics of the caller's stream, and the compound packet that tells them."""

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._caller: int | None = None
        self._stream = StreamStatistics(CLOCK)
        #: Middle bits of the NTP time in the caller's last report, and when it came.
        self._last_report = (0, 0.0)

    def count(self, source: int, sequence: int, timestamp: int) -> None:
        """A media packet of the caller: its SSRC and numbers."""
        if source != self._caller:
            self._caller, self._stream, self._last_report = source, StreamStatistics(CLOCK), (0, 0.0)
        self._stream.add(RtpPacket(sequence_number=sequence, timestamp=timestamp))

    def note(self, packet: AnyRtcpPacket) -> None:
        """A report of the caller."""
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

    def _reception(self) -> list[RtcpReceiverInfo]:
        if self._caller is None:
            return []
        middle, came = self._last_report
        # Each field is bounded by its width: the caller chooses its timestamps and sequence numbers.
        return [
            RtcpReceiverInfo(
                ssrc=self._caller,
                fraction_lost=min(self._stream.fraction_lost, 255),
                packets_lost=self._stream.packets_lost,
                highest_sequence=(self._stream.cycles + (self._stream.max_seq or 0)) % 2**32,
                jitter=min(self._stream.jitter, 2**32 - 1),
                lsr=middle,
                dlsr=min(int((time.monotonic() - came) * 65536), 2**32 - 1) if middle else 0,
            )
        ]
