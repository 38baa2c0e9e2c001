"""Following logs as a durable reader: a pull consumer, asked for a batch whenever the last one is used up.

Only what one process can hold is pulled (``BATCH``), so that others who follow as the same reader get their share and a
slow reader does not run into ``ack_wait`` with messages it has not seen. A pull that ends, is refused, or is silent for
two heartbeats is simply made again; the consumer is made sure of before.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec

from offhook.actors.ports import BusAway
from offhook.protocol.subjects import LOG_STREAM
from offhook.services.bus import jetstream as js
from offhook.services.bus.background import background
from offhook.services.bus.connection import Connection
from offhook.services.bus.exchange import Exchange, Reply

#: Messages of one pull.
BATCH = 500
#: Messages all followers of one reader together may owe an ack for.
MAX_UNACKED = 3000
#: Seconds a pull stays open at the server, and between its signs of life.
EXPIRES = 20.0
HEARTBEAT = 1.0
#: Seconds until a refused pull is made again.
BACKOFF = 0.2

_NS = 1_000_000_000

#: Publishes an ack.
Send = Callable[[str, bytes], Awaitable[None]]


class LogDelivery:
    """See ``Delivery``."""

    def __init__(self, reply: Reply, send: Send) -> None:
        self.subject = reply.subject
        self.data = reply.data
        # $JS.ACK.<stream>.<reader>.<times>.<revision>..., newer servers with <domain>.<account> after ACK (ADR-15).
        tokens = reply.reply.split(".")
        self.revision = int(tokens[5] if len(tokens) == 9 else tokens[7])
        self.receipt = reply.reply
        self._send = send

    async def ack(self) -> None:
        """See ``Delivery``. An ack while the bus is away is lost."""
        with contextlib.suppress(BusAway):
            await self._send(self.receipt, b"+ACK")


class Puller:
    """Pulls for one reader; the reader says with ``more`` that it has used up what came. Asyncio only."""

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
        #: The pull that is open, how many messages it may still bring, and the status that refused it.
        self._pull: Exchange | None = None
        self._left = 0
        self._refusal = ""

    def more(self) -> None:
        """The reader waits for messages."""
        self._wanted.set()

    @asynccontextmanager
    async def pulling(self, receive: Callable[[Reply], None]) -> AsyncIterator[None]:
        """Call ``receive`` with each message while the context is open."""

        def take(reply: Reply) -> None:
            if not reply.status:
                self._wanted.clear()
                receive(reply)
            if self._pull is not None:
                self._pull.answer(reply)

        async def run() -> None:
            while True:
                with contextlib.suppress(BusAway):
                    await self._pull_until_away(take)
                await anyio.sleep(BACKOFF)

        async with background(run):
            yield

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
        wish = {"batch": BATCH, "expires": int(EXPIRES * _NS), "idle_heartbeat": int(HEARTBEAT * _NS)}
        self._left, self._refusal = BATCH, ""
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

    async def give_back(self, deliveries: list[LogDelivery]) -> None:
        """Let others have now what came and was not read."""
        with contextlib.suppress(BusAway):
            for delivery in deliveries:
                await self._connection.publish(delivery.receipt, b"-NAK")
