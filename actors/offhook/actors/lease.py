"""Leases of nodes: who lives, decided by compare-and-set and by what each watcher has lived through.

A node rewrites its key each second, so the key's revision moves as long as the node lives. A watcher looks each second,
too. One that finds the same revision again and again declares the node dead by deleting the key; two watchers cannot
both succeed. A node that was only frozen finds its key gone at the next renewal and knows that it was taken for dead.
Clocks are never compared.

Looks are counted, not seconds, because a watcher may stand still itself, or wait for the bus, and not see what moved
meanwhile; and what holds up a watcher (a machine that is overloaded or was suspended) mostly holds up the node as well.
After a long pause it begins to count anew.
"""

import logging
from collections.abc import Callable

import anyio
import msgspec

from offhook.actors.ports import Bus, BusAway, KeyTaken, Stored, WrongRevision
from offhook.protocol.errors import OffhookError

log = logging.getLogger("offhook.lease")

#: Seconds between renewals, and between looks of a watcher.
RENEW = 1.0
#: Looks that find a lease where it was at the look before, after which its node counts as dead. More for voice nodes:
#: the calls of a gateway that is slow only change hands, callers of a voice node need a new connection.
LOOKS = 3
VOICE_LOOKS = 6
#: Seconds from one look to the end of the next after which a watcher has been away, and trusts nothing it saw before.
PAUSE = 2.0
#: Seconds until a renewal that failed is tried again.
RETRY = 0.2

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

    async def keep(self, *, evicted: Callable[[], None]) -> None:
        """Renew the lease each second, until cancelled; it needs a task that does nothing else.

        When the others took this node for dead ``evicted`` is called, and the node joins again.
        """
        due = anyio.current_time() + RENEW
        while True:
            await anyio.sleep_until(due)
            due = anyio.current_time() + RENEW
            try:
                await self.renew()
            except BusAway:
                log.info("lease could not be renewed", extra={"key": self._key})
                due = anyio.current_time() + RETRY
            except Evicted:
                log.warning("this node was taken for dead", extra={"key": self._key})
                evicted()
                await self.join()

    async def renew(self) -> None:
        """Show that the node lives. Raises ``Evicted``; ``BusAway`` if it may not have been shown."""
        try:
            self._revision = await self._bus.update(self._key, self._value(), revision=self._revision)
        except WrongRevision:
            stored = await self._bus.get(self._key)
            if stored is None:
                raise Evicted from None
            # An earlier renewal whose answer was lost has moved the key; that may be long ago.
            self._revision = stored.revision
            raise BusAway("the lease is not as it was left") from None

    async def leave(self) -> None:
        """Give the lease back, so that what depends on this node is taken over at once."""
        try:
            await self._bus.delete(self._key, revision=self._revision)
        except (BusAway, WrongRevision):
            log.info("lease was gone already", extra={"key": self._key})


class Watch:
    """Watches the leases under one prefix."""

    def __init__(self, bus: Bus, prefix: str, *, looks: int = LOOKS) -> None:
        self._bus = bus
        self._prefix = prefix
        self._looks = looks
        #: Node -> revision of its lease, and the looks since this was first seen.
        self._seen: dict[str, tuple[int, int]] = {}
        self._looked = 0.0

    async def living(self) -> dict[str, int]:
        """The nodes that hold a lease now, with their load; the dead are removed first. Raises ``BusAway``.

        This is a look: there is to be one each ``RENEW`` seconds.
        """
        found = await self._bus.keys(self._prefix)
        now = anyio.current_time()
        if now - self._looked > PAUSE:
            # Frozen, or cut off from the bus: what did not move while nobody looked may live.
            self._seen = {}
        self._looked = now
        seen: dict[str, tuple[int, int]] = {}
        loads: dict[str, int] = {}
        for stored in found:
            node = stored.subject.removeprefix(self._prefix)
            revision, looks = self._seen.get(node, (0, 0))
            looks = looks + 1 if revision == stored.revision else 0
            if looks >= self._looks and await self._bury(node, stored):
                continue
            loads[node] = msgspec.msgpack.decode(stored.data, type=int)
            seen[node] = (stored.revision, looks)
        self._seen = seen
        return loads

    async def _bury(self, node: str, stored: Stored) -> bool:
        """Delete a lease that stands still. False: it was renewed after it was read."""
        try:
            await self._bus.delete(stored.subject, revision=stored.revision)
        except WrongRevision:
            return await self._bus.get(stored.subject) is None
        log.warning("node is dead", extra={"dead": node})
        return True
