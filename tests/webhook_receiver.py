"""A stand-in for somebody's server that takes webhooks: it answers what a test asks for, and keeps what came."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
import anyio.abc
import h11
from anyio.streams.tls import TLSListener


class Received(NamedTuple):
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """``answers`` are given one after another; the last one again and again."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[bytes] = [b"HTTP/1.1 204 No Content\r\n\r\n"]
        #: Connections that came, and bytes of bodies that could be sent.
        self.connections = 0
        self.sent = 0
        #: Send body without end after the answer.
        self.endless = False
        #: Never answer.
        self.silent = False
        self.port = 0
        self.arrived = anyio.Event()

    def url(self, path: str = "/hook", scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Where it is reached."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def wait_received(self, count: int) -> None:
        """Wait until so many requests have come."""
        with anyio.fail_after(60):
            while len(self.received) < count:
                self.arrived = anyio.Event()
                await self.arrived.wait()

    async def handle(self, stream: anyio.abc.ByteStream) -> None:
        """One connection."""
        self.connections += 1
        try:
            async with stream:
                await self._answer(stream)
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError, ssl.SSLError):
            return

    async def _answer(self, stream: anyio.abc.ByteStream) -> None:
        parser = h11.Connection(h11.SERVER)
        request, body = None, b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await stream.receive())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.received.append(Received(request.target.decode(), headers, body))
        self.arrived.set()
        if self.silent:
            await anyio.sleep_forever()
        await stream.send(answer)
        while self.endless:
            await stream.send(b"x" * 16_384)
            self.sent += 16_384


@asynccontextmanager
async def open_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    receiver.port = plain.extra(anyio.abc.SocketAttribute.local_port)
    listener: anyio.abc.Listener[anyio.abc.ByteStream]
    listener = plain if tls is None else TLSListener(plain, tls, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, receiver.handle)
        yield receiver
        tasks.cancel_scope.cancel()
