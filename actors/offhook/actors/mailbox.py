"""The mailbox of an actor: bounded, first in first out, and an order to stop overtakes everything.

Promised: messages come out in the order they went in; ``put`` never waits; a full mailbox raises and hands the message
back with the error; after ``stop`` nothing more comes out. Not promised: that a message that was put is ever read.

One task reads; any number write. All on one loop.
"""

from collections import deque
from typing import Generic, TypeVar

import anyio
import msgspec

from offhook.protocol.errors import OffhookError

T = TypeVar("T")


class MailboxFull(OffhookError):
    """The actor does not keep up; ``letter`` was not taken."""

    def __init__(self, letter: object) -> None:
        super().__init__("mailbox is full")
        self.letter = letter


class Stopped(OffhookError):
    """The actor was told to stop (or has stopped: then ``put`` raises this)."""


class MailboxStatistics(msgspec.Struct, frozen=True):
    """What a mailbox holds and held."""

    waiting: int
    capacity: int
    #: Messages taken in since the beginning.
    total: int
    #: The most that ever waited.
    highest: int


class Mailbox(Generic[T]):
    """What an actor awaits."""

    def __init__(self, capacity: int = 256) -> None:
        self._letters: deque[T] = deque()
        self._capacity = capacity
        self._changed = anyio.Event()
        self._stopped = False
        self._total = 0
        self._highest = 0

    def put(self, letter: T) -> None:
        """Add a message. Raises ``MailboxFull`` or ``Stopped``; never waits."""
        if self._stopped:
            raise Stopped
        if len(self._letters) >= self._capacity:
            raise MailboxFull(letter)
        self._letters.append(letter)
        self._total += 1
        self._highest = max(self._highest, len(self._letters))
        self._changed.set()

    async def put_soon(self, letter: T) -> None:
        """Add a message, waiting for room: for senders that may be slowed down. Raises ``Stopped``."""
        while not self._stopped and len(self._letters) >= self._capacity:
            await self._wait_changed()
        self.put(letter)

    def stop(self) -> None:
        """Let the reader find ``Stopped`` next, whatever else waits."""
        self._stopped = True
        self._changed.set()

    async def get(self) -> T:
        """The next message; waits for it. Raises ``Stopped``."""
        while not self._stopped and not self._letters:
            await self._wait_changed()
        if self._stopped:
            raise Stopped
        letter = self._letters.popleft()
        self._changed.set()
        return letter

    def statistics(self) -> MailboxStatistics:
        """A snapshot."""
        return MailboxStatistics(len(self._letters), self._capacity, self._total, self._highest)

    async def _wait_changed(self) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()
