"""The guard between a media socket and the libraries behind it.

A UDP port on the open network receives anything from anybody, while the libraries trust what they read: they were
written for peers. So a datagram passes only if it is STUN (which the ICE agent authenticates itself), or comes from
an address that has passed an authenticated check and looks like DTLS or SRTP (RFC 7983 7). The guard also knows when
the caller was last heard of.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

#: Datagrams that may wait for the transport of one call.
MAX_QUEUE = 256
#: Addresses that may prove themselves in one call (a peer behind a strange NAT has a few).
MAX_SOURCES = 32


class Guard:
    """Who may speak to one call, and when it was heard last. ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sources: set[tuple[str, int]] = set()
        self.heard = clock()
        self.dropped = 0

    def wrap(self, inner: asyncio.DatagramProtocol) -> asyncio.DatagramProtocol:
        """A protocol that passes on to ``inner`` what may pass."""
        return _Gate(self, inner)

    def admit(self, source: tuple[str, int]) -> bool:
        """``source`` has passed an authenticated check; False when too many have."""
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            return False
        self._sources.add(source)
        self.heard = self._clock()
        return True

    def lets_pass(self, data: bytes, source: tuple[str, int]) -> bool:
        """Whether a datagram may pass."""
        known = source in self._sources
        if len(data) >= 20 and data[0] < 4:
            if known:
                self.heard = self._clock()
            return True
        if known and len(data) > 12 and (20 <= data[0] < 64 or 128 <= data[0] < 192):
            self.heard = self._clock()
            return True
        self.dropped += 1
        return False


class _Gate(asyncio.DatagramProtocol):
    def __init__(self, guard: Guard, inner: asyncio.DatagramProtocol) -> None:
        self._guard = guard
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(cast(asyncio.DatagramTransport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def error_received(self, exc: Exception) -> None:
        self._inner.error_received(exc)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if not self._guard.lets_pass(data, (addr[0], addr[1])):
            return
        try:
            self._inner.datagram_received(data, addr)
        except Exception:  # the library's parser has read bytes of anybody; whatever it stumbles over is a bad datagram
            self._guard.dropped += 1
