"""The bus: messages, logs, keys, and durable readers of logs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from offhook.protocol.errors import OffhookError


class BusAway(OffhookError):
    """The bus cannot be reached now. Whether the request took effect is not known."""


class WrongSequence(OffhookError):
    """Somebody else has appended to this log; nothing was written."""


class KeyTaken(OffhookError):
    """The key exists already; nothing was written."""


class WrongRevision(OffhookError):
    """The key has another revision than expected, or is gone; nothing was written."""


class Stored(msgspec.Struct, frozen=True):
    """A stored value: a message of a log, or the value of a key."""

    subject: str
    data: bytes
    #: Sequence (log) or revision (key) given by the bus; grows, with gaps.
    revision: int


#: Most messages that come to a durable reader at one time.
MAX_BATCH = 1000
#: Messages all who follow as one reader together may owe an ack for; no new ones come beyond.
MAX_UNACKED = 3 * MAX_BATCH


class Batch(Protocol):
    """Messages of logs that have come to a durable reader: at least one, at most ``MAX_BATCH``."""

    @property
    def messages(self) -> Sequence[Stored]:
        """The messages; those of one log in order."""

    async def ack(self) -> None:
        """Done with all of them: they are not delivered again (lost acks may still deliver some again)."""


class Bus(Protocol):
    """Messages between actors, logs and keys, with the semantics of NATS core, JetStream and its key-value store."""

    async def publish(self, subject: str, data: bytes) -> None:
        """Send to whoever listens now: at most once, in order per publisher and subject, no error if nobody does.

        Never waits for a receiver. Raises ``BusAway``.
        """

    def subscribe(self, subject: str, *, group: str | None = None) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Receive what is published to ``subject`` (``*`` matches one token) while the context is open.

        The subscription is in place when the context is entered. Of the subscribers with one ``group``, one gets each
        message. The buffer is bounded (1,024 messages); the oldest are dropped when it is full.
        """

    async def append(self, subject: str, data: bytes, *, last: int) -> int:
        """Append to a log if ``last`` is the revision of its last message (0: the log is empty).

        Returns the message's revision; it is on disk then. Raises ``WrongSequence``, ``BusAway``.
        """

    async def read_log(self, subject: str) -> list[Stored]:
        """All messages of one log, oldest first. Raises ``BusAway``."""

    async def erase_log(self, subject: str) -> int:
        """Make a log empty, for ever; returns how many messages it had.

        Readers that follow it do not get what they have not got by now. Raises ``BusAway``.
        """

    def follow(self, subjects: str, *, reader: str) -> AbstractAsyncContextManager[AsyncIterator[Batch]]:
        """Read all logs that match ``subjects`` as the durable ``reader``: at least once, in order per log.

        A batch is what has come by the time it is asked for; while it is dealt with the next one comes in.

        Several processes may follow as one reader; each message goes to one of them. Not acked within 30 s: again.
        """

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> int:
        """Write a key that does not exist; returns its revision. Raises ``KeyTaken``, ``BusAway``.

        With ``ttl`` the key goes away by itself, not before so many seconds (at least one) and soon after them, unless
        it is updated: what ``update`` writes stays.
        """

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Write a key if its revision is ``revision``; returns the new one. Raises ``WrongRevision``, ``BusAway``."""

    async def delete(self, key: str, *, revision: int) -> None:
        """Delete a key if its revision is ``revision``. Raises ``WrongRevision``, ``BusAway``."""

    async def get(self, key: str) -> Stored | None:
        """The value of a key, or None. May be stale: decide by ``create`` and ``update``, never by this."""

    async def keys(self, prefix: str) -> list[Stored]:
        """All keys that begin with ``prefix`` (a dotted token path, ``lease.``), with their values. May be stale."""
