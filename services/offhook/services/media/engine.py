"""Where peers come from: the ``MediaEngine`` port on aiortc."""

import datetime
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import reduce
from ipaddress import ip_address

import anyio
from aiortc.rtcdtlstransport import RTCCertificate

from offhook.actors.link import AudioLink
from offhook.actors.ports import Tap
from offhook.protocol.candidates import is_private
from offhook.protocol.distribution import Qualities
from offhook.protocol.quality import Quality, add
from offhook.services.media.codec import find_codec
from offhook.services.media.ice import Reach, offered_addresses
from offhook.services.media.peer import AiortcPeer
from offhook.services.media.room import Line, Room, open_room
from offhook.services.media.ticker import Ticker

#: A peer that cannot be closed in this time is left to the garbage collector, seconds.
CLOSE_TIMEOUT = 0.8
#: Seconds between two looks at how the audio of a connection fares.
MEASURE_EVERY = 30.0
#: A certificate is replaced when it would expire within this time.
RENEW_BEFORE = datetime.timedelta(days=7)


class AiortcEngine:
    """Peer connections of one process. Needs asyncio (or uvloop). Raises ``OpusMissing`` where there is no Opus.

    ``media_address`` is the one address offered to callers: an address of this machine (127.0.0.1 included) or the
    outer one of a NAT that maps ports one to one; None offers every address of the machine. Callers' private candidates
    are used only where it is a private one (or this machine's own, 127.0.0.1), so that nobody makes a server look
    around in the network it happens to be in; their loopback candidates where that is offered. Without an address, a
    ``stun`` server (IP address, port) is asked for the outer one of each call's sockets, a round trip to it.
    ``dropped`` counts the datagrams that the guards of all calls have dropped, by kind (``Drop``).
    """

    def __init__(self, media_address: str | None = None, *, stun: tuple[str, int] | None = None) -> None:
        find_codec()  # missing, it is missed before the first call
        addresses = offered_addresses(media_address)
        self._reach = Reach(addresses, stun if media_address is None else None)
        self._allow_loopback = any(ip_address(a).is_loopback for a in addresses)
        self._allow_private = media_address is not None and (
            self._allow_loopback or any(is_private(a) for a in addresses)
        )
        self._certificate = RTCCertificate.generateCertificate()
        self.dropped: Counter[str] = Counter()
        #: How the audio of connections that are closed had fared, and those that are open. One assignment changes
        #: both, for whoever reads them from another thread.
        self._books: tuple[Quality | None, tuple[AiortcPeer, ...]] = (None, ())
        #: How the audio of each connection fared, looked at now and then and at its end.
        self.qualities = Qualities()
        self._ticker = Ticker()

    @asynccontextmanager
    async def open_room(self) -> AsyncIterator[Room]:
        """A room in which peers of this engine, opened with its lines as links, hear each other."""
        async with open_room(self._ticker) as room:
            yield room

    @property
    def connections(self) -> int:
        """Peer connections that are open."""
        return len(self._books[1])

    @property
    def quality(self) -> Quality:
        """How the audio of all connections has fared, closed ones included: the counts (the rest is of any one)."""
        past, peers = self._books
        return reduce(add, (peer.quality() for peer in peers), past) or Quality()

    @asynccontextmanager
    async def open_peer(
        self, link: AudioLink | Line, *, echo: bool, tap: Tap | None = None
    ) -> AsyncIterator[AiortcPeer]:
        """A new peer connection; leaving the context closes it within a second and frees everything."""
        peer = AiortcPeer(
            link,
            echo=echo,
            tap=tap,
            ticker=self._ticker,
            reach=self._reach,
            certificate=self._fresh_certificate(),
            allow_loopback=self._allow_loopback,
            allow_private=self._allow_private,
            dropped=self.dropped,
        )
        past, peers = self._books
        self._books = past, (*peers, peer)
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(peer.run)
                group.start_soon(self._measure, peer)
                try:
                    yield peer
                except Exception as exc:  # the body's own error must leave as it came, not wrapped in a group
                    failure = exc
                finally:
                    group.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await peer.close()
            past, peers = self._books
            self.qualities = self.qualities.note(peer.quality())
            self._books = add(past, peer.quality()), tuple(other for other in peers if other is not peer)
        if failure is not None:
            raise failure

    async def _measure(self, peer: AiortcPeer) -> None:
        while True:
            await anyio.sleep(MEASURE_EVERY)
            self.qualities = self.qualities.note(peer.quality())

    def _fresh_certificate(self) -> RTCCertificate:
        if self._certificate.expires - datetime.datetime.now(datetime.UTC) < RENEW_BEFORE:
            self._certificate = RTCCertificate.generateCertificate()
        return self._certificate
