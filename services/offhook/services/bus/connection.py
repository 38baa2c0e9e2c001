"""Connection: one nats-py client after the other, and what has to outlive each of them.

nats-py's own reconnection is not used. It keeps what could not be sent and sends it late, closes for good after any
``-ERR`` line, and in some orders of events dies without calling a callback. Here a lost client is thrown away: a task
connects a new one, repeats the subscriptions and runs ``prepare`` before the connection counts as ready. While there
is no client everything raises ``BusAway`` at once.

Replies to all requests come to one subscription, ``<inbox>.*``; the last token says which request they belong to.
"""

import asyncio
import contextlib
import itertools
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from offhook.actors.ports import BusAway
from offhook.services.bus.client import close_client, connect_client, why
from offhook.services.bus.exchange import PATIENCE, Exchange, Headers, Reply, reply_of

_log = logging.getLogger("offhook.bus")

#: Seconds between attempts to connect: short first, for a server that restarts.
BACKOFF = (0.05, 0.1, 0.2, 0.5)
#: Seconds between two looks at whether the client has died.
WATCH = 0.1
#: Bytes that may wait for a slow socket before ``publish`` raises ``BusAway``.
MAX_UNSENT = 8 * 1024 * 1024

_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


class _Listener:
    """A subscription that is made again on each new client."""

    def __init__(self, subject: str, group: str, take: Callable[[Msg], Awaitable[None]]) -> None:
        self.subject = subject
        self.group = group
        self._take = take
        self._subscription: Subscription | None = None

    async def start(self, client: Client) -> None:
        # No limits inside nats-py: ``take`` never waits, and the inbox behind it is bounded.
        self._subscription = await client.subscribe(
            self.subject, self.group, cb=self._take, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def stop(self) -> None:
        if self._subscription is not None:
            with contextlib.suppress(errors.Error, OSError):
                await self._subscription.unsubscribe()


class Connection:
    """A connection that comes back; ``keep`` has to run beside it."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: Set while connected and prepared.
        self.ready = asyncio.Event()
        #: Why the last attempt to connect failed, for a person.
        self.trouble = "it does not answer"
        self._client: Client | None = None
        self._inbox = f"_INBOX.{secrets.token_hex(12)}"
        self._tokens = itertools.count()
        self._exchanges: dict[str, Exchange] = {}
        #: In the order they came.
        self._listeners = dict.fromkeys([_Listener(f"{self._inbox}.*", "", self._take_reply)])

    @property
    def is_up(self) -> bool:
        """Whether there is a live client now. May be read from any thread."""
        client = self._client
        return client is not None and client.is_connected

    def _live(self) -> Client:
        client = self._client
        if client is None or not client.is_connected:
            raise BusAway("the bus is not connected")
        if client.pending_data_size > MAX_UNSENT:
            raise BusAway("the bus has stopped taking messages")
        return client

    def check(self, subject: str, data: bytes) -> None:
        """Raise ``BusAway`` if nothing can be published now, ``ValueError`` if not this. From any thread."""
        limit = self._live().max_payload
        if len(data) > limit:
            raise ValueError(f"{len(data)} bytes are more than the bus carries ({limit})")
        if not _SUBJECT.fullmatch(subject):
            raise ValueError(f"NATS does not allow the subject {subject!r}")

    async def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        """Hand to the socket. Raises as ``check``."""
        self.check(subject, data)
        try:
            await self._live().publish(subject, data, reply, headers)
        except (errors.Error, OSError) as error:
            raise BusAway(str(error)) from error

    async def request(self, subject: str, data: bytes = b"", *, headers: Headers | None = None) -> Reply:
        """One question, one answer. Raises ``BusAway``, also when nobody is there to answer."""
        answers: list[Reply] = []

        def take(reply: Reply) -> bool:
            answers.append(reply)
            return True

        await self.gather(subject, data, take, headers=headers)
        if answers[0].status == "503":
            raise BusAway(f"nobody answers to {subject}")
        return answers[0]

    async def gather(
        self, subject: str, data: bytes, take: Callable[[Reply], bool], *, headers: Headers | None = None
    ) -> None:
        """One question, answers until ``take`` returns True. Raises ``BusAway`` when they stop before."""
        with self.exchange(subject, take) as exchange:
            await self.publish(subject, data, reply=exchange.inbox, headers=headers)
            await exchange.done

    @contextmanager
    def exchange(self, subject: str, take: Callable[[Reply], bool], *, silence: float = PATIENCE) -> Iterator[Exchange]:
        """Wait for answers to what is sent within; a lost connection or ``silence`` seconds without any end it."""
        token = format(next(self._tokens), "x")
        exchange = self._exchanges[token] = Exchange(f"{self._inbox}.{token}", subject, take, silence)
        try:
            yield exchange
        finally:
            del self._exchanges[token]
            exchange.close()

    async def _take_reply(self, msg: Msg) -> None:
        exchange = self._exchanges.get(msg.subject.rpartition(".")[2])
        if exchange is not None:
            exchange.answer(reply_of(msg))

    def new_inbox(self) -> str:
        """A subject nobody else uses."""
        return f"{self._inbox}.own.{next(self._tokens):x}"

    @asynccontextmanager
    async def listen(self, subject: str, group: str, receive: Callable[[Reply], None]) -> AsyncIterator[None]:
        """Call ``receive`` with each message while the context is open, across reconnections.

        Raises ``BusAway`` on entering, and ``ValueError`` for a subject or group NATS does not allow.
        """

        async def take(msg: Msg) -> None:
            receive(reply_of(msg))

        listener = _Listener(subject, group, take)
        client = self._live()
        try:
            await listener.start(client)
        except errors.BadSubjectError as error:
            raise ValueError(f"cannot subscribe to {subject!r}: {error}") from error
        except (errors.Error, OSError) as error:
            raise BusAway(str(error)) from error
        if client is not self._client:
            # The next one was connected meanwhile, and knows nothing of this subscription.
            raise BusAway("the bus was lost while subscribing")
        self._listeners[listener] = None
        try:
            await self._wait_in_place()
            yield
        finally:
            del self._listeners[listener]
            await listener.stop()

    async def _wait_in_place(self) -> None:
        # SUB and this PUB take the same way: when it comes back the subscription is in place. (nats-py's ``flush``
        # writes its PING past commands that wait to be written.)
        with self.exchange("the bus", lambda _: True) as exchange:
            await self.publish(exchange.inbox, b"")
            await exchange.done

    # ── the task that keeps it connected ───────────────────────────────────────────────────────────────────────

    async def keep(self, url: str, prepare: Callable[[], Awaitable[None]]) -> None:
        """Connect, again and again, until cancelled."""
        failures = 0
        while True:
            client = Client()
            try:
                await self._connect(client, url)
                _log.info("bus connected", extra={"bus_client": self.name})
                await self._prepare(client, prepare)
                failures = 0
                # nats-py can die without a callback (an error while it closes), so there is no event to wait for.
                while client.is_connected:  # noqa: ASYNC110
                    await anyio.sleep(WATCH)
                self.trouble = "the connection was lost"
                _log.warning("bus lost", extra={"bus_client": self.name})
            except (errors.Error, OSError, ValueError) as error:
                # ValueError: what is no INFO line at all.
                self.trouble = why(error)
                failures += 1
            finally:
                self._lost()
                with anyio.CancelScope(shield=True):
                    await close_client(client)
            await anyio.sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])

    @property
    def version(self) -> tuple[int, int]:
        """The server's version."""
        version = self._live().connected_server_version
        return version.major, version.minor

    async def _connect(self, client: Client, url: str) -> None:
        await connect_client(client, url, self.name)
        # Some end while others are started; none comes before there is a client.
        for listener in tuple(self._listeners):
            if listener in self._listeners:
                await listener.start(client)
            if listener not in self._listeners:
                await listener.stop()
        self._client = client

    async def _prepare(self, client: Client, prepare: Callable[[], Awaitable[None]]) -> None:
        while client.is_connected and not self.ready.is_set():
            try:
                await prepare()
                self.ready.set()
            except BusAway as away:
                # The server is up before its JetStream is.
                self.trouble = str(away)
                await anyio.sleep(WATCH)

    def _lost(self) -> None:
        self._client = None
        self.ready.clear()
        for exchange in self._exchanges.values():
            exchange.fail("the bus was lost while waiting for an answer")
