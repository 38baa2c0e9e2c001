"""The encrypted path of one call: ICE, then DTLS, then SRTP, on the building blocks of aiortc.

aiortc's ``RTCPeerConnection`` brings a decoder thread per track, a fixed jitter buffer and answers that accept every
section, so a call is put together from the parts below it: an aioice connection and ``RTCDtlsTransport``. Of the
latter we rely on ``start``, ``stop``, ``state``, ``encrypted``, ``_set_role`` and the two SRTP sessions it makes,
``_rx_srtp`` and ``_tx_srtp``, of aiortc 1.16; of the ICE transport it reads ``role``, ``_recv`` and ``_send`` only.

Media takes the short way: decrypted, looked at and answered in the callback of the socket, without a queue or a task
in between. Only DTLS records pass through aiortc's own loop.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

import anyio
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport
from pylibsrtp import Error as SrtpError
from pylibsrtp import Session

from offhook.protocol.errors import OffhookError, Reason
from offhook.protocol.rtcp import Report, read_reports
from offhook.protocol.rtp import RtpPacket, is_rtcp, read_packet
from offhook.protocol.sdp import Candidate, Offer
from offhook.services.media.guard import Drop
from offhook.services.media.ice import GuardedConnection, Reach, candidate_line

#: Sources (SSRC) of packets that one caller may have. It has one; a track that is exchanged, or a collision (RFC 3550
#: 8.2), makes another. Each costs memory until the path is closed: what keeps replays out never forgets one.
MAX_STREAMS = 8

#: What a media packet is given to: an RTP packet, and False when its payload type is none that was agreed; a report.
OnRtp = Callable[[RtpPacket], bool]
OnRtcp = Callable[[Report], None]


class PathFailed(OffhookError):
    """The path could not be set up; ``reason`` is a media reason, the text a sentence for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class _IceSide:
    """The ICE transport that ``RTCDtlsTransport`` wants to see."""

    role = "controlled"

    def __init__(self, connection: GuardedConnection) -> None:
        self._recv = connection.recv
        self._send = connection.send


class Path:
    """The encrypted path to one caller."""

    def __init__(
        self,
        reach: Reach,
        certificate: RTCCertificate,
        on_rtp: OnRtp,
        on_rtcp: OnRtcp,
        dropped: Counter[str] | None = None,
    ) -> None:
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._ice = GuardedConnection(reach, self._receive, dropped)
        self._dtls = RTCDtlsTransport(cast(RTCIceTransport, _IceSide(self._ice)), [certificate])
        self._fingerprints = certificate.getFingerprints()
        #: What decrypts, and what encrypts; none before DTLS is up.
        self._inbound: Session | None = None
        self._outbound: Session | None = None
        #: Sources that have proved to be the caller's.
        self._streams: set[bytes] = set()
        self._closed = anyio.Event()
        self._bug: Exception | None = None
        self._dtls.on("statechange", self._state_changed)

    @property
    def heard(self) -> float:
        """When the caller was last heard of (the loop's time, seconds)."""
        return self._ice.guard.heard

    @property
    def dropped(self) -> Mapping[str, int]:
        """Datagrams that the guard has dropped, by kind (``Drop``)."""
        return self._ice.guard.dropped

    async def open(self, *, offering: bool = False) -> list[str]:
        """Open the sockets; returns the lines of SDP that describe this end. Raises ``PathFailed``."""
        if offering:
            self._ice.lead()
        try:
            await self._ice.gather_candidates()
        except OSError as exc:
            raise PathFailed(Reason.MEDIA_FAILED, "No address of the server can be used for audio.") from exc
        sha256 = next(f for f in self._fingerprints if f.algorithm == "sha-256")
        return [
            f"a=ice-ufrag:{self._ice.local_username}",
            f"a=ice-pwd:{self._ice.local_password}",
            f"a=fingerprint:sha-256 {sha256.value}",
            *(candidate_line(candidate) for candidate in self._ice.local_candidates),
            "a=end-of-candidates",
        ]

    async def add_candidate(self, candidate: Candidate) -> None:
        """A trickled candidate that was checked."""
        await self._ice.add(candidate)

    async def connect(self, offer: Offer) -> None:
        """Bring ICE and DTLS up. Waits as long as it is let. Raises ``PathFailed``."""
        self._ice.remote_username = offer.ufrag
        self._ice.remote_password = offer.pwd
        for candidate in offer.candidates:
            await self._ice.add(candidate)
        failure: PathFailed | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._check)
            await self._ice.nominated.wait()
            try:
                await self._shake_hands(offer)
            except PathFailed as exc:  # must leave as it came, not wrapped in a group
                failure = exc
        if failure is not None:
            raise failure

    async def _check(self) -> None:
        """Find a path between both sides. DTLS begins as soon as there is one, before the library has tidied up."""
        try:
            # End-of-candidates is never signalled: a caller whose candidates are all of no use may still check us.
            await self._ice.connect()
        except ConnectionError:
            self._ice.nominated.set()

    async def _shake_hands(self, offer: Offer) -> None:
        if not self._ice.has_path:
            raise PathFailed(Reason.MEDIA_FAILED, "No network path between caller and server was found.")
        role = "server" if offer.setup == "active" else "client"
        self._dtls._set_role(role)
        await self._dtls.start(
            RTCDtlsParameters(
                fingerprints=[RTCDtlsFingerprint(f.algorithm, f.value) for f in offer.fingerprints],
                role="client" if role == "server" else "server",
            )
        )
        if self._dtls.state != "connected":
            if self._dtls.encrypted:
                raise PathFailed(
                    Reason.DTLS_FINGERPRINT_MISMATCH, "The caller's certificate is not the one its offer announced."
                )
            raise PathFailed(Reason.MEDIA_FAILED, "The encrypted connection to the caller could not be set up.")
        self._inbound, self._outbound = self._dtls._rx_srtp, self._dtls._tx_srtp

    def send(self, packet: bytes) -> None:
        """Send an RTP or RTCP packet; when the path is gone it is lost, as on any network (see ``wait_closed``)."""
        srtp = self._outbound
        if srtp is not None:
            self._ice.send_now(srtp.protect_rtcp(packet) if is_rtcp(packet) else srtp.protect(packet))

    def ask(self) -> None:
        """Ask the caller for a sign of life; an answer shows in ``heard``."""
        self._ice.ask()

    async def wait_closed(self) -> None:
        """Wait until the caller closes the path, or it is given up. Raises what our own handling of a packet raised."""
        await self._closed.wait()
        if self._bug is not None:
            raise self._bug

    async def close(self) -> None:
        """Tell the caller if it is there, free the sockets. Does not wait for the network."""
        await self._dtls.stop()
        await self._ice.close()
        self._dtls.remove_all_listeners()

    def _state_changed(self) -> None:
        if self._dtls.state in {"closed", "failed"}:
            self._closed.set()

    def _receive(self, data: bytes) -> None:
        srtp = self._inbound
        if srtp is None:
            return
        control = is_rtcp(data)
        # Both begin with a header in the clear that names the source (RFC 3711 3.1, 3.4).
        stream = data[4:8] if control else data[8:12]
        if stream not in self._streams and len(self._streams) >= MAX_STREAMS:
            self._ice.guard.count(Drop.TOO_MANY_STREAMS)
            return
        try:
            packet = srtp.unprotect_rtcp(data) if control else srtp.unprotect(data)
        except (SrtpError, ValueError):
            # Forged, damaged or replayed; or longer than a packet can be.
            self._ice.guard.count(Drop.SRTP_REFUSED)
            return
        self._streams.add(stream)
        self._ice.guard.hear()
        try:
            if control:
                self._rtcp(packet)
            else:
                self._rtp(packet)
        except Exception as exc:  # our own bug: it must not pass for a bad datagram, and ends this call in its task
            self._bug = exc
            self._closed.set()

    def _rtp(self, packet: bytes) -> None:
        read = read_packet(packet)
        if read is None:
            self._ice.guard.count(Drop.RTP_MALFORMED)
        elif not self._on_rtp(read):
            self._ice.guard.count(Drop.RTP_UNKNOWN_TYPE)

    def _rtcp(self, packet: bytes) -> None:
        reports = read_reports(packet)
        if reports is None:
            self._ice.guard.count(Drop.RTCP_MALFORMED)
            return
        for report in reports:
            self._on_rtcp(report)
