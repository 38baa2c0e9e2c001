"""A bus with troubles, and what the world outside of it can see of it.

``Troubles`` says what goes wrong now; somebody changes it while the world runs. What an operation meets is drawn from
one random source, so a seed is one history.

Messages can be lost, doubled, delayed, and thereby overtake each other. What is written to a log or a key is never lost
silently; but an operation can fail, and it can fail after it took effect (``BusAway`` says that this is not known).
A full disk takes no writes. Keys can be read as they were a moment ago.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any, Protocol, TypeVar

import anyio
import anyio.lowlevel

from offhook.actors.ports import BusAway, Stored
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.scheduler import NODE

T = TypeVar("T")

#: Seconds that overwritten keys are kept for stale reads.
KEPT = 3.0


class Troubles:
    """What goes wrong at the moment: chances from 0 to 1, durations in seconds."""

    def __init__(self) -> None:
        self.lose = 0.0
        self.double = 0.0
        self.delay = 0.0
        self.fail = 0.0
        self.forget = 0.0
        self.drag = 0.0
        #: Longest delay of a message or an operation.
        self.longest = 1.0
        #: Age of the keys that are read.
        self.stale = 0.0
        #: Chance that an ack is lost.
        self.forget_ack = 0.0
        self.full = False
        self.away = False
        #: Node -> operations it still does before it is killed.
        self.doomed: dict[str, int] = {}

    @property
    def operations(self) -> bool:
        """Whether operations on logs and keys can meet trouble."""
        return bool(self.fail or self.forget or self.drag or self.stale or self.full or self.away)

    @property
    def messages(self) -> bool:
        """Whether messages can meet trouble."""
        return bool(self.lose or self.double or self.delay or self.away)


class Observer(Protocol):
    """Sees everything that happens on the bus. ``node`` is empty for those outside of the nodes."""

    def published(self, node: str, subject: str, data: bytes, receivers: list[str]) -> None:
        """A message has reached its receivers."""

    def strayed(self, node: str, subject: str, data: bytes, what: str) -> None:
        """A message was lost, doubled or delayed."""

    def appended(self, node: str, stored: Stored) -> None:
        """Something stands in a log."""

    def wrote(self, node: str, key: str, value: bytes | None, revision: int) -> None:
        """A key was written; None: deleted."""

    def failed(self, node: str, operation: str, what: str, why: str) -> None:
        """An operation did not succeed, or its answer was lost."""


class FaultyBus(SimulatedBus):
    """The server, with troubles."""

    def __init__(self, observer: Observer, chance: random.Random, *, ack_wait: float = 30.0) -> None:
        super().__init__(ack_wait=ack_wait)
        self.troubles = Troubles()
        self.chance = chance
        self.observer = observer
        #: Called with the name of a node whose hour has come.
        self.kill: Callable[[str], None] = lambda _node: None
        self._posted: list[tuple[float, int, str, str, bytes]] = []
        self._posts = 0
        self._news = anyio.Event()
        self._past: deque[tuple[float, str, Stored | None]] = deque()

    def client(self, name: str) -> "FaultyClient":
        """A process's end of the bus."""
        return FaultyClient(self, name)

    def publish(self, subject: str, data: bytes) -> list[str]:
        """See ``SimulatedBus``."""
        receivers = super().publish(subject, data)
        self.observer.published(NODE.get(), subject, data, receivers)
        return receivers

    def append(self, subject: str, data: bytes, last: int) -> int:
        """See ``SimulatedBus``."""
        revision = super().append(subject, data, last)
        self.observer.appended(NODE.get(), self.stored[revision - 1])
        return revision

    def write(self, key: str, value: bytes, ttl: float | None = None) -> int:
        """See ``SimulatedBus``."""
        self._remember(key)
        revision = super().write(key, value, ttl)
        self.observer.wrote(NODE.get(), key, value, revision)
        return revision

    def remove(self, key: str) -> None:
        """See ``SimulatedBus``."""
        self._remember(key)
        super().remove(key)
        self.observer.wrote(NODE.get(), key, None, self.revision)

    def _remember(self, key: str) -> None:
        now = anyio.current_time()
        self._past.append((now, key, self.kept.get(key)))
        while self._past[0][0] < now - KEPT:
            self._past.popleft()

    def as_of(self, then: float) -> dict[str, Stored]:
        """The keys as they were."""
        kept = dict(self.living())
        for at, key, before in reversed(self._past):
            if at < then:
                break
            if before is None:
                kept.pop(key, None)
            else:
                kept[key] = before
        return kept

    # ── late messages ──────────────────────────────────────────────────────────────────────────────────────────

    def post(self, delay: float, subject: str, data: bytes) -> None:
        """Publish later."""
        self._posts += 1
        heapq.heappush(self._posted, (anyio.current_time() + delay, self._posts, NODE.get(), subject, data))
        self._news.set()

    async def deliver_late(self) -> None:
        """Publish what was posted, each when it is due; never returns."""
        while True:
            self._news = anyio.Event()
            with anyio.CancelScope(deadline=self._posted[0][0] if self._posted else float("inf")):
                await self._news.wait()
            while self._posted and self._posted[0][0] <= anyio.current_time():
                _, _, node, subject, data = heapq.heappop(self._posted)
                receivers = super().publish(subject, data)
                self.observer.published(node, subject, data, receivers)


class FaultyClient(SimulatedClient):
    """One process's ``Bus``, with the server's troubles."""

    def __init__(self, bus: FaultyBus, name: str) -> None:
        super().__init__(bus, name)
        self._faulty = bus

    @property
    def away(self) -> bool:
        """Whether this client is cut off from the bus, or all are."""
        return self._away or self._faulty.troubles.away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        self._bus.change()

    async def publish(self, subject: str, data: bytes) -> None:
        """See ``Bus``."""
        bus = self._faulty
        troubles, chance = bus.troubles, bus.chance
        if self.name in troubles.doomed:
            await self._meet_fate()
        if not troubles.messages or self.away:
            await super().publish(subject, data)
            return
        await anyio.lowlevel.checkpoint()
        copies = 1
        if chance.random() < troubles.lose:
            bus.observer.strayed(self.name, subject, data, "lost")
            copies = 0
        elif chance.random() < troubles.double:
            bus.observer.strayed(self.name, subject, data, "doubled")
            copies = 2
        for _ in range(copies):
            if chance.random() < troubles.delay:
                delay = chance.uniform(0, troubles.longest)
                bus.observer.strayed(self.name, subject, data, f"late by {delay:.3f} s")
                bus.post(delay, subject, data)
            else:
                bus.publish(subject, data)

    def append(self, subject: str, data: bytes, *, last: int) -> Coroutine[Any, Any, int]:
        """See ``Bus``."""
        return self._try("append", subject, super().append(subject, data, last=last))

    def read_log(self, subject: str) -> Coroutine[Any, Any, list[Stored]]:
        """See ``Bus``."""
        return self._try("read", subject, super().read_log(subject))

    def create(self, key: str, value: bytes, *, ttl: float | None = None) -> Coroutine[Any, Any, int]:
        """See ``Bus``."""
        return self._try("create", key, super().create(key, value, ttl=ttl))

    def update(self, key: str, value: bytes, *, revision: int) -> Coroutine[Any, Any, int]:
        """See ``Bus``."""
        return self._try("update", key, super().update(key, value, revision=revision))

    def delete(self, key: str, *, revision: int) -> Coroutine[Any, Any, None]:
        """See ``Bus``."""
        return self._try("delete", key, super().delete(key, revision=revision))

    async def get(self, key: str) -> Stored | None:
        """See ``Bus``."""
        return (await self._try("get", key, self._read())).get(key)

    async def keys(self, prefix: str) -> list[Stored]:
        """See ``Bus``."""
        kept = await self._try("get", prefix, self._read())
        return [kept[key] for key in sorted([key for key in kept if key.startswith(prefix)])]

    async def _read(self) -> dict[str, Stored]:
        await self._reach()
        stale = self._faulty.troubles.stale
        return self._faulty.as_of(anyio.current_time() - stale) if stale else self._bus.living()

    def _try(self, operation: str, what: str, effect: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Do an operation as the troubles let it."""
        troubles = self._faulty.troubles
        if self.name in troubles.doomed or (troubles.operations and not self._away):
            return self._try_hard(operation, what, effect)
        return effect

    async def _try_hard(self, operation: str, what: str, effect: Coroutine[Any, Any, T]) -> T:
        troubles, chance = self._faulty.troubles, self._faulty.chance
        with closing(effect):
            if self.name in troubles.doomed:
                await self._meet_fate()
            if not troubles.operations or self._away:
                return await effect
            if chance.random() < troubles.drag:
                await anyio.sleep(chance.uniform(0, troubles.longest))
            if troubles.full and operation in {"append", "create", "update", "delete"}:
                self._fail(operation, what, "the disk is full")
            if chance.random() < troubles.fail:
                self._fail(operation, what, "no answer")
            result = await effect
            if chance.random() < troubles.drag:
                await anyio.sleep(chance.uniform(0, troubles.longest))
            if chance.random() < troubles.forget:
                self._fail(operation, what, "done, but the answer was lost")
            return result

    def _fail(self, operation: str, what: str, why: str) -> None:
        self._faulty.observer.failed(self.name, operation, what, why)
        raise BusAway(why)

    def loses_ack(self) -> bool:
        """See ``SimulatedClient``."""
        return self._faulty.chance.random() < self._faulty.troubles.forget_ack

    async def _meet_fate(self) -> None:
        """A doomed process dies at one of its operations."""
        doomed = self._faulty.troubles.doomed
        doomed[self.name] -= 1
        if doomed[self.name] <= 0:
            del doomed[self.name]
            self._faulty.kill(self.name)
            await anyio.lowlevel.checkpoint()
