"""The bus on NATS, for an asyncio process."""

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from offhook.actors.ports import Batch, BusAway, KeyTaken, Stored, WrongRevision, WrongSequence
from offhook.protocol.subjects import LOG_STREAM, call_of_log, log
from offhook.services.bus import jetstream as js
from offhook.services.bus.address import not_reachable, servers_of
from offhook.services.bus.background import background
from offhook.services.bus.connection import Connection
from offhook.services.bus.exchange import Reply
from offhook.services.bus.follow import Batches, Puller
from offhook.services.bus.inbox import Inbox

#: Messages a subscription keeps for a reader that is busy; the oldest are dropped.
DEPTH = 1024
#: Times a log or a new key is looked at again when replicas or other writers are in the way.
ATTEMPTS = 5

KEY = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*")
READER = re.compile(r"[-_a-zA-Z0-9]+")


class NatsBus:
    """``Bus`` on one connection.

    Keys consist of tokens of ``A-Z a-z 0-9 - _ / =`` with dots between them, as NATS has it; anything else raises
    ``ValueError``.
    """

    def __init__(self, connection: Connection, *, ack_wait: float) -> None:
        self.connection = connection
        self._ack_wait = ack_wait

    async def publish(self, subject: str, data: bytes) -> None:
        """See ``Bus``."""
        await self.connection.publish(subject, data)
        await anyio.lowlevel.checkpoint()

    @asynccontextmanager
    async def subscribe(self, subject: str, *, group: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """See ``Bus``. Raises ``BusAway`` on entering; what is published while the bus is away is lost."""
        inbox = Inbox[bytes](depth=DEPTH)
        async with self.connection.listen(subject, group or "", lambda reply: inbox.put(reply.data)):
            yield inbox

    async def append(self, subject: str, data: bytes, *, last: int) -> int:
        """See ``Bus``. Only ``offhook.log.*`` are logs, anything else raises ``ValueError``."""
        if log(call_of_log(subject)) != subject:
            raise ValueError(f"{subject!r} is not the subject of a log")
        try:
            return await js.store(self.connection, subject, data, last=last)
        except js.JetStreamError as error:
            if error.code in js.WRONG_SEQUENCE:
                raise WrongSequence(f"{subject} does not end at {last}") from error
            raise

    async def read_log(self, subject: str) -> list[Stored]:
        """See ``Bus``. Never stale: read again until it reaches what the leader has as the last message."""
        last = await js.last_of(self.connection, LOG_STREAM, subject)
        if last is None:
            return []
        for attempt in range(ATTEMPTS):
            found = await js.read_all(self.connection, LOG_STREAM, subject)
            if found and found[-1].revision >= last.seq:
                return found
            await anyio.sleep(0.05 * attempt)
        raise BusAway(f"no replica has all of {subject}")

    async def erase_log(self, subject: str) -> int:
        """See ``Bus``."""
        return await js.purge(self.connection, LOG_STREAM, subject)

    @asynccontextmanager
    async def follow(self, subjects: str, *, reader: str) -> AsyncIterator[AsyncIterator[Batch]]:
        """See ``Bus``. ``reader`` has no dots or spaces. Waits for the bus to come back rather than raise."""
        puller = self.puller(subjects, reader)
        inbox = Inbox[Reply]()
        async with puller.pulling(inbox):
            yield Batches(inbox, puller.more, puller.acknowledge)

    def puller(self, subjects: str, reader: str) -> Puller:
        """What feeds a follower."""
        if not READER.fullmatch(reader):
            raise ValueError(f"NATS does not allow the reader {reader!r}")
        return Puller(self.connection, subjects, reader, ack_wait=self._ack_wait)

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> int:
        """See ``Bus``."""
        subject, last = _subject(key), 0
        headers = {} if ttl is None else {"Nats-TTL": f"{max(1, math.ceil(ttl))}s"}
        for _ in range(ATTEMPTS):
            try:
                return await js.store(self.connection, subject, value, last=last, headers=headers)
            except js.JetStreamError as error:
                if error.code not in js.WRONG_SEQUENCE:
                    raise
            kept = await js.last_of(self.connection, js.KEY_STREAM, subject)
            if kept is not None and b"KV-Operation" not in kept.hdrs:
                break
            # A mark of deletion: write over it, unless it goes away first.
            last = 0 if kept is None else kept.seq
        raise KeyTaken(key)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """See ``Bus``."""
        return await self._replace(key, value, revision, {})

    async def delete(self, key: str, *, revision: int) -> None:
        """See ``Bus``. The mark that is left goes away by itself."""
        await self._replace(key, b"", revision, {"KV-Operation": "DEL", "Nats-TTL": js.MARK_TTL})

    async def _replace(self, key: str, value: bytes, revision: int, headers: dict[str, str]) -> int:
        subject = _subject(key)
        if revision <= 0:
            # To NATS 0 means that there is no such key.
            raise WrongRevision(f"{key} cannot be at revision {revision}")
        try:
            return await js.store(self.connection, subject, value, last=revision, headers=headers)
        except js.JetStreamError as error:
            if error.code in js.WRONG_SEQUENCE:
                raise WrongRevision(f"{key} is not at revision {revision}") from error
            raise

    async def get(self, key: str) -> Stored | None:
        """See ``Bus``."""
        stored = await js.read_last(self.connection, js.KEY_STREAM, _subject(key))
        return stored and _key(stored)

    async def keys(self, prefix: str) -> list[Stored]:
        """See ``Bus``. ``prefix`` is empty or ends with a dot."""
        if prefix and not prefix.endswith("."):
            raise ValueError(f"a prefix of keys ends with a dot: {prefix!r}")
        pattern = f"{_subject(prefix[:-1])}.>" if prefix else f"{js.KEY_PREFIX}>"
        found = await js.read_all(self.connection, js.KEY_STREAM, pattern)
        # A key that is written while the batches come shows up twice; the later one holds.
        latest = {stored.subject: _key(stored) for stored in found}
        return [latest[subject] for subject in sorted(latest)]


def _subject(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError(f"NATS does not allow the key {key!r}")
    return js.KEY_PREFIX + key


def _key(stored: Stored) -> Stored:
    return Stored(stored.subject.removeprefix(js.KEY_PREFIX), stored.data, stored.revision)


@asynccontextmanager
async def open_nats(
    url: str, *, name: str, replicas: int = 1, ack_wait: float = 30.0, wait: float = 15.0
) -> AsyncIterator[NatsBus]:
    """A bus on NATS; see ``open_bus``. Needs a running asyncio loop."""
    servers_of(url)  # a wrong URL is said at once
    connection = Connection(name)

    async def prepare() -> None:
        await js.ensure_streams(connection, replicas)

    async def keep() -> None:
        await connection.keep(url, prepare)

    async with background(keep):
        with anyio.move_on_after(wait):
            await connection.ready.wait()
        if not connection.ready.is_set():
            raise not_reachable(url, connection.trouble)
        yield NatsBus(connection, ack_wait=ack_wait)
