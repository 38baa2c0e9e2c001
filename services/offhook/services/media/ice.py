"""ICE for one call: aioice on the addresses we choose, behind a guard.

aioice offers every address of the machine except 127.0.0.1 and hands every datagram of every sender on.
``GuardedConnection`` replaces the gathering of host candidates and puts a ``Guard`` between each socket and the
library. It relies on these names of aioice 0.13, and tests cover each: ``StunProtocol`` and its ``transactions``,
``Connection.check_state``, ``data_received`` and the attributes ``_protocols``, ``_nominated``,
``_local_candidates``, ``_local_candidates_start`` and ``_local_candidates_end``.
"""

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import aioice
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, get_host_addresses
from aioice.stun import Class, Message, Method, TransactionError

from offhook.protocol.sdp import Candidate
from offhook.services.media.guard import MAX_QUEUE, Drop, Guard

#: A machine may have many bridges; the first addresses are offered.
MAX_ADDRESSES = 8
#: What the kernel may keep for a socket while the loop is busy, bytes; it grants as much as the machine allows.
RECEIVE_BUFFER = 1 << 20
#: Seconds for which an answer to an offer waits for a STUN server. One that answers takes a round trip.
STUN_PATIENCE = 0.4


class Reach(NamedTuple):
    """How callers reach this node: addresses to offer, and a STUN server (address, port) that tells outer ones."""

    addresses: list[str]
    stun: tuple[str, int] | None = None


def offered_addresses(media_address: str | None) -> list[str]:
    """The addresses to offer: the configured one, else all of this machine, else loopback."""
    if media_address is not None:
        return [media_address]
    return get_host_addresses(use_ipv4=True, use_ipv6=True)[:MAX_ADDRESSES] or ["127.0.0.1"]


class GuardedConnection(aioice.Connection):
    """ICE with host candidates on ``addresses``, controlled unless told to lead (RFC 8445 6.1.1).

    ``media`` gets each SRTP and SRTCP packet that its guard lets pass, in the callback of the socket, and never
    raises. What the guard drops is counted in ``dropped``, too.
    """

    def __init__(self, reach: Reach, media: Callable[[bytes], None], dropped: Counter[str] | None = None) -> None:
        super().__init__(ice_controlling=False)
        self._reach = reach
        self._media = media
        #: Set as soon as there is a path, which ``connect`` notices up to 20 ms later.
        self.nominated = asyncio.Event()
        self.guard = Guard(self.local_username, self.local_password, asyncio.get_running_loop().time, dropped)

    def lead(self) -> None:
        """Be the controlling side: who makes the offer nominates the pair."""
        self.ice_controlling = True

    async def gather_candidates(self) -> None:
        """Open one socket per address, ask for their outer addresses. Raises ``OSError`` when none can be opened."""
        self._local_candidates_start = True
        failed: OSError | None = None
        for address in self._reach.addresses:
            try:
                await self._open(address)
            except OSError as exc:
                failed = exc
        if failed is not None and not self._local_candidates:
            raise failed
        if (server := self._reach.stun) is not None:
            asked = [self._ask_outer(inner, server) for inner in self._protocols]
            found = [candidate for candidate in await asyncio.gather(*asked) if candidate is not None]
            self._local_candidates += found
        self._local_candidates_end = True

    async def _ask_outer(self, inner: StunProtocol, server: tuple[str, int]) -> aioice.Candidate | None:
        """The server-reflexive candidate of a socket (RFC 8445 5.1.1.2); None where there is no NAT, or no answer."""
        host = inner.local_candidate
        if ipaddress.ip_address(host.host).version != ipaddress.ip_address(server[0]).version:
            return None
        try:
            async with asyncio.timeout(STUN_PATIENCE):
                answer, _ = await inner.request(Message(Method.BINDING, Class.REQUEST), server)
            address, port = answer.attributes["XOR-MAPPED-ADDRESS"]
        except (TimeoutError, TransactionError, KeyError):
            return None
        if (address, port) == (host.host, host.port):
            return None
        return aioice.Candidate(
            foundation=candidate_foundation("srflx", "udp", host.host),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "srflx"),
            host=address,
            port=port,
            type="srflx",
            related_address=host.host,
            related_port=host.port,
        )

    async def _open(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        inner = StunProtocol(self)
        gate = self.guard.wrap(inner, inner.transactions, self._media)
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: gate, local_addr=(address, 0))
        except OSError:
            # Not an address of this machine: the outer one of a NAT that maps ports one to one.
            everywhere = "::" if ipaddress.ip_address(address).version == 6 else "0.0.0.0"  # noqa: S104
            transport, _ = await loop.create_datagram_endpoint(lambda: gate, local_addr=(everywhere, 0))
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        inner.local_candidate = aioice.Candidate(
            foundation=candidate_foundation("host", "udp", address),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host"),
            host=address,
            port=transport.get_extra_info("sockname")[1],
            type="host",
        )
        self._protocols.append(inner)
        self._local_candidates.append(inner.local_candidate)

    async def add(self, candidate: Candidate) -> None:
        """Add a checked remote candidate."""
        await self.add_remote_candidate(
            aioice.Candidate(
                foundation=candidate.foundation,
                component=1,
                transport="udp",
                priority=candidate.priority,
                host=candidate.address,
                port=candidate.port,
                type=candidate.type,
            )
        )

    @property
    def has_path(self) -> bool:
        """Whether a pair of addresses was nominated."""
        return bool(self._nominated)

    def send_now(self, data: bytes) -> None:
        """Send a datagram on the nominated pair; without one it is lost."""
        pair = self._nominated.get(1)
        if pair is not None:
            pair.protocol.transport.sendto(data, pair.remote_addr)

    def ask(self) -> None:
        """Check the caller's consent now (RFC 7675 5.1): who lives answers within a round trip."""
        assert self.remote_password is not None
        password = self.remote_password.encode()
        for pair in self._nominated.values():
            request = self.build_request(pair, nominate=False)
            request.add_message_integrity(password)
            self.guard.expect(request.transaction_id, password)
            pair.protocol.send_stun(request, pair.remote_addr)

    # ── what aioice calls ──────────────────────────────────────────────────────────────────────────────────────

    def check_complete(self, pair: CandidatePair) -> None:
        """A check has ended, maybe the one that decides."""
        super().check_complete(pair)
        if self._nominated:
            self.nominated.set()

    def check_state(self, pair: CandidatePair, state: CandidatePair.State) -> None:
        """A check of ours changed its state; one that succeeded proves its address, too."""
        super().check_state(pair, state)
        if state is CandidatePair.State.SUCCEEDED:
            self.guard.admit(pair.remote_addr)

    def data_received(self, data: bytes, component: int) -> None:
        """A datagram of DTLS. What cannot be worked off is dropped, as the network would do."""
        if data[0] < 4:
            self.guard.count(Drop.UNREADABLE)  # a signed check, but aioice cannot read its attributes
        elif self._queue.qsize() >= MAX_QUEUE:
            self.guard.count(Drop.QUEUE_FULL)
        else:
            super().data_received(data, component)


def candidate_line(candidate: Any) -> str:
    """The SDP attribute of a local candidate (RFC 8839 5.1)."""
    return f"a=candidate:{candidate.to_sdp()}"
