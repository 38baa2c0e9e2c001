"""The guard between a media socket and the libraries behind it.

A UDP port on the open network receives anything from anybody, while the libraries trust what they read: they were
written for peers. So a datagram passes only if it is STUN that the caller has signed or that answers a check of ours,
or comes from an address that has passed an authenticated check and looks like DTLS or SRTP (RFC 7983 7). Everything
else is dropped where it is received, counted by kind, and answered with nothing: an error answer to anybody is a
reflector for sale. The guard also knows when the caller was last heard of.

What is cheap is looked at first: a stranger's datagram costs about a microsecond.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Container
from enum import StrEnum
from typing import Any, cast

from offhook.protocol.stun import Kind, Stun, check_integrity, read_stun

#: Datagrams that may wait for the transport of one call.
MAX_QUEUE = 256
#: Addresses that may prove themselves in one call (a peer behind a strange NAT has a few).
MAX_SOURCES = 32
#: Authentic checks of one call that are answered: so many at once, so many a second. A browser sends far less.
CHECKS_AT_ONCE = 200
CHECKS_A_SECOND = 50
#: Role conflicts that are believed (RFC 8445 7.2.5.1): one mends a real one.
MAX_ROLE_CONFLICTS = 3
#: Questions whose answer is still taken for a sign of life.
MAX_ASKED = 8

_ROLE_CONFLICT = 487


class Drop(StrEnum):
    """Why a datagram was dropped; the words are the keys of the counters."""

    #: No byte in it.
    EMPTY = "empty"
    #: The first byte belongs to no protocol spoken here, or hardly more than it came.
    NO_PROTOCOL = "no_protocol"
    #: DTLS from an address that has not proved itself.
    FOREIGN_DTLS = "foreign_dtls"
    #: RTP or RTCP from an address that has not proved itself.
    FOREIGN_MEDIA = "foreign_media"
    #: A DTLS alert in the clear, which anybody can write (RFC 6347 4.1.2.7).
    PLAIN_ALERT = "plain_alert"
    STUN_MALFORMED = "stun_malformed"
    #: An indication, or an answer to nothing we asked.
    STUN_UNASKED = "stun_unasked"
    #: For another call, or for none.
    STUN_WRONG_USER = "stun_wrong_user"
    #: Signed wrongly, or not at all.
    STUN_UNSIGNED = "stun_unsigned"
    #: It demands something that is not understood.
    STUN_UNKNOWN_DEMAND = "stun_unknown_demand"
    #: The caller's own, but too many of them.
    STUN_TOO_MANY = "stun_too_many"
    #: The caller's own, from more addresses than it can have.
    TOO_MANY_SOURCES = "too_many_sources"
    #: The caller claims again and again that both sides have the same role.
    ROLE_CONFLICT = "role_conflict"
    #: The transport is not keeping up.
    QUEUE_FULL = "queue_full"
    #: SRTP or SRTCP that is not authentic, or was there before.
    SRTP_REFUSED = "srtp_refused"
    #: Authentic, but no RTP (RFC 3550 5.1).
    RTP_MALFORMED = "rtp_malformed"
    #: Authentic RTP with a payload type that was not agreed.
    RTP_UNKNOWN_TYPE = "rtp_unknown_type"
    #: RTP or RTCP of one source (SSRC) more than a caller can have.
    TOO_MANY_STREAMS = "too_many_streams"
    #: Authentic, but no RTCP (RFC 3550 6.1).
    RTCP_MALFORMED = "rtcp_malformed"
    #: A library has stumbled over it.
    UNREADABLE = "unreadable"


class Guard:
    """Who may speak to one call, and when it was heard last.

    ``user`` and ``password`` are our own side's ICE credentials, ``clock`` gives monotonic seconds. What is dropped is
    counted by kind in ``dropped``, and in ``total``, which the calls of a process share.
    """

    def __init__(self, user: str, password: str, clock: Callable[[], float], total: Counter[str] | None = None) -> None:
        self._user = user.encode() + b":"
        self._password = password.encode()
        self._clock = clock
        self._sources: set[tuple[str, int]] = set()
        self._asked: deque[tuple[bytes, bytes]] = deque(maxlen=MAX_ASKED)
        self._checks = float(CHECKS_AT_ONCE)
        self._checked = clock()
        self._conflicts = 0
        self._total: Counter[str] = Counter() if total is None else total
        self.heard = clock()
        self.dropped: Counter[str] = Counter()

    def wrap(
        self, inner: asyncio.DatagramProtocol, awaited: Container[bytes], media: Callable[[bytes], None]
    ) -> asyncio.DatagramProtocol:
        """A protocol that passes on what may pass: SRTP and SRTCP to ``media``, everything else to ``inner``.

        ``awaited`` are the transactions of the checks of ``inner``.
        """
        return _Gate(self, inner, awaited, media)

    def count(self, kind: Drop) -> None:
        """One more datagram was dropped."""
        self.dropped[kind] += 1
        self._total[kind] += 1

    def hear(self) -> None:
        """The caller was heard: something has proved to be its own. An address alone proves nothing."""
        self.heard = self._clock()

    def admit(self, source: tuple[str, int]) -> bool:
        """``source`` has passed an authenticated check; False when too many have."""
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            return False
        self._sources.add(source)
        self.hear()
        return True

    def expect(self, transaction: bytes, password: bytes) -> None:
        """A question was sent; its answer, signed with ``password``, is a sign of life."""
        self._asked.append((transaction, password))

    def lets_pass(self, data: bytes, source: tuple[str, int], awaited: Container[bytes] = ()) -> bool:
        """Whether a datagram may pass."""
        kind = self._media(data, source) if len(data) > 12 and data[0] >= 20 else self._other(data, source, awaited)
        if kind is None:
            return True
        self.count(kind)
        return False

    def _media(self, data: bytes, source: tuple[str, int]) -> Drop | None:
        first = data[0]
        if 128 <= first < 192:
            if source not in self._sources:
                return Drop.FOREIGN_MEDIA
        elif first < 64:
            if source not in self._sources:
                return Drop.FOREIGN_DTLS
            if first == 21 and data[3:5] == b"\0\0":
                return Drop.PLAIN_ALERT
        else:
            return Drop.NO_PROTOCOL
        return None

    def _other(self, data: bytes, source: tuple[str, int], awaited: Container[bytes]) -> Drop | None:
        if not data:
            return Drop.EMPTY
        if data[0] >= 4:
            return Drop.NO_PROTOCOL
        # Before anything is taken apart: a check for us has our name in it, an answer the number of a question.
        asked = data[8:20] in awaited or self._is_asked(data[8:20]) is not None
        if not asked and self._user not in data:
            return Drop.STUN_WRONG_USER if data[:2] == b"\0\1" else Drop.STUN_UNASKED
        try:
            message = read_stun(data)
        except ValueError:
            return Drop.STUN_MALFORMED
        if message.demands_unknown:
            return Drop.STUN_UNKNOWN_DEMAND
        if message.kind is Kind.REQUEST:
            return self._check(data, message, source)
        return self._answer(data, message) if asked else Drop.STUN_UNASKED

    def _check(self, data: bytes, message: Stun, source: tuple[str, int]) -> Drop | None:
        """A check of the caller's (RFC 8445 7.3)."""
        if message.username is None or not message.username.startswith(self._user):
            return Drop.STUN_WRONG_USER
        if not check_integrity(data, message, self._password):
            return Drop.STUN_UNSIGNED
        if not message.has_priority:
            return Drop.STUN_MALFORMED
        now = self._clock()
        self._checks = min(CHECKS_AT_ONCE, self._checks + (now - self._checked) * CHECKS_A_SECOND)
        self._checked = now
        if self._checks < 1.0:
            return Drop.STUN_TOO_MANY
        self._checks -= 1.0
        return None if self.admit(source) else Drop.TOO_MANY_SOURCES

    def _answer(self, data: bytes, message: Stun) -> Drop | None:
        """An answer to a check of ours. The ICE agent checks the signature; the answer to a question ends here."""
        if message.kind is Kind.INDICATION:
            return Drop.STUN_UNASKED
        if message.error == _ROLE_CONFLICT:
            self._conflicts += 1
            return Drop.ROLE_CONFLICT if self._conflicts > MAX_ROLE_CONFLICTS else None
        password = self._is_asked(message.transaction)
        if password is not None:
            if not check_integrity(data, message, password):
                return Drop.STUN_UNSIGNED
            self.hear()
        return None

    def _is_asked(self, transaction: bytes) -> bytes | None:
        return next((password for asked, password in self._asked if asked == transaction), None)


class _Gate(asyncio.DatagramProtocol):
    def __init__(
        self,
        guard: Guard,
        inner: asyncio.DatagramProtocol,
        awaited: Container[bytes],
        media: Callable[[bytes], None],
    ) -> None:
        self._guard = guard
        self._inner = inner
        self._awaited = awaited
        self._media = media

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(cast(asyncio.DatagramTransport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def error_received(self, exc: Exception) -> None:
        self._inner.error_received(exc)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if not self._guard.lets_pass(data, (addr[0], addr[1]), self._awaited):
            return
        if data[0] >= 128:
            self._media(data)
            return
        try:
            self._inner.datagram_received(data, addr)
        except Exception:  # the library's parser reads bytes of a peer; whatever it stumbles over is a bad datagram
            self._guard.count(Drop.UNREADABLE)
