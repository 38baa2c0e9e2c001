"""Durable readers of the simulated bus: what they were handed, what they owe an ack for, and when it comes again."""

from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from offhook.actors.ports import MAX_BATCH, MAX_UNACKED, Batch, Stored

if TYPE_CHECKING:
    from offhook.simulation.bus import SimulatedBus, SimulatedClient


@lru_cache(maxsize=4096)
def matches(pattern: str, subject: str) -> bool:
    """Whether ``subject`` is covered by ``pattern``, where ``*`` stands for one token."""
    want, have = pattern.split("."), subject.split(".")
    return len(want) == len(have) and all(w in {"*", h} for w, h in zip(want, have, strict=True))


class Reader:
    """A durable reader: how far it has come, and which deliveries still owe an ack until when."""

    def __init__(self, bus: "SimulatedBus", subjects: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._position = 0
        #: Revision -> time it is delivered again, in order of delivery.
        self._owed: dict[int, float] = {}

    def take(self) -> list[Stored]:
        """The messages to deliver now: those whose ack is overdue, then new ones."""
        now, taken = anyio.current_time(), list[Stored]()
        for revision, deadline in sorted(self._owed.items()):
            if not self._bus.stored[revision - 1].subject:
                del self._owed[revision]  # erased
            elif deadline <= now and len(taken) < MAX_BATCH:
                taken.append(self._owe(self._bus.stored[revision - 1]))
        while self._has_new() and len(taken) < MAX_BATCH:
            stored = self._bus.stored[self._position]
            self._position += 1
            if matches(self._subjects, stored.subject):
                taken.append(self._owe(stored))
        return taken

    def _owe(self, stored: Stored) -> Stored:
        # The one that comes again goes to the end.
        self._owed.pop(stored.revision, None)
        self._owed[stored.revision] = anyio.current_time() + self._bus.ack_wait
        return stored

    def has_next(self) -> bool:
        """Whether there may be something to deliver."""
        return self._has_new() or self.next_due() <= anyio.current_time()

    def _has_new(self) -> bool:
        return self._position < len(self._bus.stored) and len(self._owed) < MAX_UNACKED

    def next_due(self) -> float:
        """When the next redelivery is due (``anyio.current_time``)."""
        # They are owed in the order in which they were handed out.
        return next(iter(self._owed.values()), float("inf"))

    def settle(self, revision: int) -> None:
        """An ack has come."""
        full = len(self._owed) >= MAX_UNACKED
        self._owed.pop(revision, None)
        if full:
            self._bus.change()


class Follower:
    """One process reading as a durable reader."""

    def __init__(self, client: "SimulatedClient", bus: "SimulatedBus", reader: Reader) -> None:
        self._client = client
        self._bus = bus
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        waited = False
        while True:
            if self._client.away:
                await self._bus.wait_changed(float("inf"))
            elif not self._reader.has_next():
                await self._bus.wait_changed(self._reader.next_due())
            elif not waited:
                await anyio.lowlevel.checkpoint()
            elif messages := self._reader.take():
                return _Batch(self._client, self._reader, messages)
            waited = True


class _Batch:
    """Messages of logs on their way to a durable reader."""

    def __init__(self, client: "SimulatedClient", reader: Reader, messages: Sequence[Stored]) -> None:
        self.messages = messages
        self._client = client
        self._reader = reader

    async def ack(self) -> None:
        """See ``Batch``. Acks while the client is away are lost; each may get lost by itself."""
        await anyio.lowlevel.checkpoint()
        for message in self.messages:
            if not self._client.away and not self._client.loses_ack():
                self._reader.settle(message.revision)
