"""Leases of nodes: who lives, decided by compare-and-set and by each watcher's own clock.

A node rewrites its key each second, so the key's revision moves as long as the node lives. A watcher that has not seen
it move for three seconds declares the node dead by deleting the key; two watchers cannot both succeed. A node that was
only frozen finds its key gone at the next renewal and knows that it was taken for dead. Clocks are never compared.
"""

import logging
from collections.abc import Callable

import anyio
import msgspec

from offhook.actors.ports import Bus, BusAway, KeyTaken, Stored, WrongRevision
from offhook.protocol.errors import OffhookError

log = logging.getLogger("offhook.lease")

#: Seconds between renewals, and without one after which a node counts as dead.
RENEW = 1.0
EXPIRY = 3.0

#: Prefixes of the keys: gateway nodes own calls, voice nodes hold their media.
GATEWAYS = "node.gateway."
VOICES = "node.voice."


class Evicted(OffhookError):
    """The others took this node for dead."""


class Lease:
    """The lease of this node. ``node`` must be a name that no other process uses or used.

    It tells the others the node's ``load``, as of the last renewal.
    """

    def __init__(self, bus: Bus, prefix: str, node: str, *, load: Callable[[], int] = lambda: 0) -> None:
        self._bus = bus
        self._key = prefix + node
        self._load = load
        self._revision = 0

    async def join(self) -> None:
        """Take the lease; waits for the bus."""
        while True:
            try:
                self._revision = await self._take(self._value())
            except BusAway:
                await anyio.sleep(0.5)
            else:
                return

    def _value(self) -> bytes:
        return msgspec.msgpack.encode(self._load())

    async def _take(self, value: bytes) -> int:
        try:
            return await self._bus.create(self._key, value)
        except KeyTaken:
            # Our own write, whose answer was lost: nobody else uses this name.
            stored = await self._bus.get(self._key)
            return stored.revision if stored else 0

    async def renew(self) -> None:
        """Show that the node lives. Raises ``Evicted``, ``BusAway``."""
        try:
            self._revision = await self._bus.update(self._key, self._value(), revision=self._revision)
        except WrongRevision:
            stored = await self._bus.get(self._key)
            if stored is None:
                raise Evicted from None
            self._revision = stored.revision

    async def leave(self) -> None:
        """Give the lease back, so that what depends on this node is taken over at once."""
        try:
            await self._bus.delete(self._key, revision=self._revision)
        except (BusAway, WrongRevision):
            log.info("lease was gone already", extra={"key": self._key})


class Watch:
    """Watches the leases under one prefix."""

    def __init__(self, bus: Bus, prefix: str) -> None:
        self._bus = bus
        self._prefix = prefix
        self._seen: dict[str, tuple[int, float]] = {}
        self._looked = 0.0

    async def living(self) -> dict[str, int]:
        """The nodes that hold a lease now, with their load; the dead are removed first. Raises ``BusAway``."""
        now = anyio.current_time()
        if now - self._looked > 2 * RENEW:
            # Frozen, or cut off from the bus: what did not move while nobody looked may live.
            self._seen = {}
        seen: dict[str, tuple[int, float]] = {}
        loads: dict[str, int] = {}
        for stored in await self._bus.keys(self._prefix):
            node = stored.subject.removeprefix(self._prefix)
            revision, since = self._seen.get(node, (stored.revision, now))
            if revision == stored.revision and now - since >= EXPIRY:
                await self._bury(node, stored)
                continue
            loads[node] = msgspec.msgpack.decode(stored.data, type=int)
            seen[node] = (revision, since) if revision == stored.revision else (stored.revision, now)
        self._seen, self._looked = seen, now
        return loads

    async def _bury(self, node: str, stored: Stored) -> None:
        try:
            await self._bus.delete(stored.subject, revision=stored.revision)
        except WrongRevision:
            return
        log.warning("node is dead", extra={"dead": node})
