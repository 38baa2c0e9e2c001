"""Following logs as a durable reader: a pull consumer, asked for a batch whenever the last one is used up.

One batch is pulled while the reader is busy with the one before, and no more, so that others who follow as the same
reader get their share and a slow reader does not run into ``ack_wait`` with messages it has not seen. A pull that ends,
is refused, or is silent for two heartbeats is simply made again; the consumer is made sure of before.

Each message is acknowledged by itself: an ack of all up to a position would take those of other processes with it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import msgspec

from offhook.actors.ports import MAX_BATCH, MAX_UNACKED, BusAway, Stored
from offhook.protocol.subjects import LOG_STREAM
from offhook.services.bus import jetstream as js
from offhook.services.bus.background import background
from offhook.services.bus.connection import Connection
from offhook.services.bus.exchange import Exchange, Reply
from offhook.services.bus.inbox import Inbox

#: Seconds a pull stays open at the server, and between its signs of life.
EXPIRES = 20.0
HEARTBEAT = 1.0
#: Seconds until a refused pull is made again.
BACKOFF = 0.2

_NS = 1_000_000_000

#: Acknowledges messages, by where their acks go.
Acknowledge = Callable[[Sequence[str]], Awaitable[None]]


class LogBatch:
    """See ``Batch``."""

    def __init__(self, replies: Sequence[Reply], acknowledge: Acknowledge) -> None:
        self.messages = [_stored(reply) for reply in replies]
        self._receipts = [reply.reply for reply in replies]
        self._acknowledge = acknowledge

    async def ack(self) -> None:
        """See ``Batch``. Acks while the bus is away are lost."""
        await self._acknowledge(self._receipts)


class Batches:
    """What comes to one reader; ``more`` has the next batch pulled."""

    def __init__(self, inbox: Inbox[Reply], more: Callable[[], None], acknowledge: Acknowledge) -> None:
        self._inbox = inbox
        self._more = more
        self._acknowledge = acknowledge

    def __aiter__(self) -> AsyncIterator[LogBatch]:
        return self

    async def __anext__(self) -> LogBatch:
        await anyio.lowlevel.checkpoint()
        await self._inbox.wait_some()
        replies = self._inbox.drain(MAX_BATCH)
        self._more()
        return LogBatch(replies, self._acknowledge)


class Puller:
    """Pulls for one reader; the reader says with ``more`` that it has taken what came. Asyncio only."""

    def __init__(self, connection: Connection, subjects: str, reader: str, *, ack_wait: float) -> None:
        self._connection = connection
        self._reader = reader
        self._config = {
            "durable_name": reader,
            "filter_subject": subjects,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(ack_wait * _NS),
            "max_ack_pending": MAX_UNACKED,
            "replay_policy": "instant",
        }
        self._wanted = asyncio.Event()
        self._wanted.set()
        #: The pull that is open, how many messages it may still bring, and the status that refused it.
        self._pull: Exchange | None = None
        self._left = 0
        self._refusal = ""

    def more(self) -> None:
        """The reader can hold another batch."""
        self._wanted.set()

    @asynccontextmanager
    async def pulling(self, inbox: Inbox[Reply]) -> AsyncIterator[None]:
        """Pull into ``inbox`` while the context is open; what nobody has taken from it then goes back."""

        def take(reply: Reply) -> None:
            if not reply.status:
                self._wanted.clear()
                inbox.put(reply)
            if self._pull is not None:
                self._pull.answer(reply)

        async def run() -> None:
            while True:
                with contextlib.suppress(BusAway):
                    await self._pull_until_away(take)
                await anyio.sleep(BACKOFF)

        try:
            async with background(run):
                yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._answer([reply.reply for reply in inbox.drain()], b"-NAK")

    async def _pull_until_away(self, take: Callable[[Reply], None]) -> None:
        # A subscription of its own: when it goes, the server sees that and gives open pulls nothing more.
        inbox = self._connection.new_inbox()
        async with self._connection.listen(inbox, "", take):
            consumer = {"stream_name": LOG_STREAM, "config": self._config}
            await js.ask(self._connection, f"CONSUMER.DURABLE.CREATE.{LOG_STREAM}.{self._reader}", **consumer)
            while True:
                await self._wanted.wait()
                await self._pull_once(inbox)

    async def _pull_once(self, inbox: str) -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{LOG_STREAM}.{self._reader}"
        wish = {"batch": MAX_BATCH, "expires": int(EXPIRES * _NS), "idle_heartbeat": int(HEARTBEAT * _NS)}
        self._left, self._refusal = MAX_BATCH, ""
        with self._connection.exchange(subject, self._ends, silence=2.5 * HEARTBEAT) as self._pull:
            await self._connection.publish(subject, msgspec.json.encode(wish), reply=inbox)
            await self._pull.done
        if self._refusal:
            raise BusAway(f"the pull was refused with status {self._refusal}")

    def _ends(self, reply: Reply) -> bool:
        """Whether the pull brings nothing more after this reply."""
        if not reply.status:
            self._left -= 1
            return self._left == 0
        if reply.status == "100":  # heartbeat
            return False
        if reply.status != "408":  # its time is over
            self._refusal = reply.status
        return True

    async def acknowledge(self, receipts: Sequence[str]) -> None:
        """See ``Acknowledge``."""
        await self._answer(receipts, b"+ACK")
        await anyio.lowlevel.checkpoint()

    async def _answer(self, receipts: Sequence[str], answer: bytes) -> None:
        with contextlib.suppress(BusAway):
            for receipt in receipts:
                await self._connection.publish(receipt, answer)


def _stored(reply: Reply) -> Stored:
    # $JS.ACK.<stream>.<reader>.<times>.<revision>..., newer servers with <domain>.<account> after ACK (ADR-15).
    tokens = reply.reply.split(".")
    return Stored(reply.subject, reply.data, int(tokens[5] if len(tokens) == 9 else tokens[7]))
