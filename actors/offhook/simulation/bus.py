"""A bus in memory, with the semantics of the real one and time from ``anyio``.

``SimulatedBus`` is the server; ``client`` gives one process's ``Bus`` on it. A client can be put ``away``: its
operations raise ``BusAway`` and nothing reaches it, while the others go on. Nothing here waits for real: under a
virtual clock redelivery after 30 s costs no time.

As with the real bus, revisions are drawn from one counter per log stream and one for all keys, so they have gaps;
a message reaches one member of a group; deliveries that are not acked come again, out of order then.
"""

import math
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

import anyio
import anyio.lowlevel

from offhook.actors.ports import Batch, BusAway, KeyTaken, Stored, WrongRevision, WrongSequence
from offhook.protocol.subjects import call_of_log, log
from offhook.simulation.readers import Follower, Reader, matches

#: Messages a subscription keeps for a reader that is busy; the oldest are dropped.
DEPTH = 1024
_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_KEY = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*")


class SimulatedBus:
    """The server: subscriptions, logs, keys and durable readers. One event loop."""

    def __init__(self, *, ack_wait: float = 30.0) -> None:
        #: Seconds until an unacked delivery comes again.
        self.ack_wait = ack_wait
        self.stored: list[Stored] = []
        self.last: dict[str, int] = {}
        self.kept: dict[str, Stored] = {}
        #: Key -> when it goes away by itself (``anyio.current_time``).
        self.ends: dict[str, float] = {}
        #: No key goes away before this time.
        self._first_end = math.inf
        self.revision = 0
        self.readers: dict[str, Reader] = {}
        #: Subscriptions by subject, in order of delivery; those with wildcards apart.
        self._exact: dict[str, list[_Subscription]] = {}
        self._wild: list[_Subscription] = []
        self._logs: dict[str, list[int]] = {}
        self._changed = anyio.Event()

    def client(self, name: str) -> "SimulatedClient":
        """A process's end of the bus."""
        return SimulatedClient(self, name)

    def publish(self, subject: str, data: bytes) -> list[str]:
        """Hand ``data`` to every matching subscription, and to one of each group; the names of those clients."""
        receivers = []
        served: set[tuple[str, str]] = set()
        wild = [subscription for subscription in self._wild if matches(subscription.subject, subject)]
        for subscription in [*self._exact.get(subject, ()), *wild]:
            if subscription.client.away:
                continue
            if subscription.group is not None:
                if (subscription.subject, subscription.group) in served:
                    continue
                served.add((subscription.subject, subscription.group))
                # The member that was served goes to the end: groups take turns.
                self.detach(subscription)
                self.attach(subscription)
            subscription.put(data)
            receivers.append(subscription.client.name)
        return receivers

    def append(self, subject: str, data: bytes, last: int) -> int:
        """Append to a log; the new message's revision."""
        if self.last.get(subject, 0) != last:
            raise WrongSequence(f"{subject} ends at {self.last.get(subject, 0)}, not at {last}")
        revision = len(self.stored) + 1
        self.stored.append(Stored(subject, data, revision))
        self.last[subject] = revision
        self._logs.setdefault(subject, []).append(revision)
        self.change()
        return revision

    def log_of(self, subject: str) -> list[Stored]:
        """All messages of one log."""
        return [self.stored[revision - 1] for revision in self._logs.get(subject, ())]

    def erase(self, subject: str) -> int:
        """Empty a log, leaving gaps; how many messages it had."""
        erased = self.log_of(subject)
        for stored in erased:
            self.stored[stored.revision - 1] = Stored("", b"", stored.revision)
        self.last.pop(subject, None)
        self._logs.pop(subject, None)
        return len(erased)

    def write(self, key: str, value: bytes, ttl: float | None = None) -> int:
        """Write a key; its new revision."""
        self.revision += 1
        self.kept[key] = Stored(key, value, self.revision)
        self.ends.pop(key, None)
        if ttl is not None:
            self.ends[key] = anyio.current_time() + max(1.0, ttl)
            self._first_end = min(self._first_end, self.ends[key])
        return self.revision

    def remove(self, key: str) -> None:
        """Delete a key."""
        del self.kept[key]
        self.ends.pop(key, None)
        # The mark of a deletion takes a revision too.
        self.revision += 1

    def living(self) -> dict[str, Stored]:
        """The keys whose time is not over."""
        now = anyio.current_time()
        if now >= self._first_end:
            for key in [key for key, end in self.ends.items() if end <= now]:
                del self.kept[key], self.ends[key]
            self._first_end = min(self.ends.values(), default=math.inf)
        return self.kept

    def attach(self, subscription: "_Subscription") -> None:
        """Begin to deliver to a subscription."""
        self._listed(subscription).append(subscription)

    def detach(self, subscription: "_Subscription") -> None:
        """Stop delivering to a subscription."""
        if subscription in self._listed(subscription):
            self._listed(subscription).remove(subscription)
        if not self._exact.get(subscription.subject, True):
            del self._exact[subscription.subject]

    def _listed(self, subscription: "_Subscription") -> list["_Subscription"]:
        return self._wild if "*" in subscription.subject else self._exact.setdefault(subscription.subject, [])

    def drop(self, client: "SimulatedClient") -> None:
        """A client's connection is gone for good, and its subscriptions with it."""
        for subscriptions in [self._wild, *self._exact.values()]:
            subscriptions[:] = [kept for kept in subscriptions if kept.client is not client]

    def change(self) -> None:
        """Wake every reader that waits for something to happen."""
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_changed(self, deadline: float) -> None:
        """Wait for ``change``, at most until ``deadline`` (``anyio.current_time``)."""
        with anyio.CancelScope(deadline=deadline):
            await self._changed.wait()


class SimulatedClient:
    """One process's ``Bus``."""

    def __init__(self, bus: SimulatedBus, name: str) -> None:
        self.name = name
        self._bus = bus
        self._away = False

    @property
    def away(self) -> bool:
        """Whether this client is cut off from the bus."""
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        self._bus.change()

    @property
    def cut_off(self) -> bool:
        """Whether this client alone is cut off."""
        return self._away

    def loses_ack(self) -> bool:
        """Whether the next ack gets lost."""
        return False

    async def _reach(self) -> SimulatedBus:
        await anyio.lowlevel.checkpoint()
        self._require()
        return self._bus

    def _require(self) -> None:
        if self.away:
            raise BusAway(f"{self.name} is cut off from the bus")

    async def publish(self, subject: str, data: bytes) -> None:
        """See ``Bus``."""
        bus = await self._reach()
        _require(_SUBJECT, subject)
        bus.publish(subject, data)

    @asynccontextmanager
    async def subscribe(self, subject: str, *, group: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """See ``Bus``. Raises ``BusAway`` on entering."""
        bus = await self._reach()
        subscription = _Subscription(self, subject, group)
        bus.attach(subscription)
        try:
            yield subscription
        finally:
            bus.detach(subscription)

    async def append(self, subject: str, data: bytes, *, last: int) -> int:
        """See ``Bus``."""
        bus = await self._reach()
        _require(_SUBJECT, subject)
        if log(call_of_log(subject)) != subject:
            raise ValueError(f"{subject!r} is not the subject of a log")
        return bus.append(subject, data, last)

    async def read_log(self, subject: str) -> list[Stored]:
        """See ``Bus``."""
        return (await self._reach()).log_of(subject)

    async def erase_log(self, subject: str) -> int:
        """See ``Bus``."""
        return (await self._reach()).erase(subject)

    @asynccontextmanager
    async def follow(self, subjects: str, *, reader: str) -> AsyncIterator[AsyncIterator[Batch]]:
        """See ``Bus``. Waits for the bus to come back rather than raise."""
        await anyio.lowlevel.checkpoint()
        yield Follower(self, self._bus, self._bus.readers.setdefault(reader, Reader(self._bus, subjects)))

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> int:
        """See ``Bus``."""
        bus = await self._reach()
        _require(_KEY, key)
        if key in bus.living():
            raise KeyTaken(key)
        return bus.write(key, value, ttl)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """See ``Bus``."""
        bus = await self._reach()
        self._compare(key, revision)
        return bus.write(key, value)

    async def delete(self, key: str, *, revision: int) -> None:
        """See ``Bus``."""
        bus = await self._reach()
        self._compare(key, revision)
        bus.remove(key)

    def _compare(self, key: str, revision: int) -> None:
        kept = self._bus.living().get(key)
        if kept is None or kept.revision != revision:
            raise WrongRevision(f"{key} is not at revision {revision}")

    async def get(self, key: str) -> Stored | None:
        """See ``Bus``."""
        return (await self._reach()).living().get(key)

    async def keys(self, prefix: str) -> list[Stored]:
        """See ``Bus``."""
        bus = await self._reach()
        kept = bus.living()
        return [kept[key] for key in sorted(kept) if key.startswith(prefix)]


@lru_cache(maxsize=4096)
def _require(allowed: re.Pattern[str], name: str) -> None:
    if not allowed.fullmatch(name):
        raise ValueError(f"the bus does not allow the name {name!r}")


class _Subscription:
    """What one subscriber has not read yet."""

    def __init__(self, client: SimulatedClient, subject: str, group: str | None) -> None:
        self.client = client
        self.subject = subject
        self.group = group
        self._waiting: deque[bytes] = deque(maxlen=DEPTH)
        self._arrived = anyio.Event()

    def put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._arrived.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._waiting:
            await anyio.lowlevel.checkpoint()
        else:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._waiting.popleft()
