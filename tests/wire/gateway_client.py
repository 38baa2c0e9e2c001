"""A scripted client of the gateway protocol, for tests and benchmarks: a WebSocket and an aiortc caller in one loop.

The WebSocket is wsproto on a plain TCP connection, so that broken frames can be sent as well as good ones. Nothing is
shared with the gateway's own code.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from webrtc_caller import WebRtcCaller
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from offhook.services.tokens import mint_token, open_workspace

Frame = dict[str, Any]
Found = TypeVar("Found")

#: Seconds; far more than anything here takes, so that a hang fails.
SOON = 20.0
#: The ``closed`` of a connection that ended without a Close frame.
DROPPED = 1006


class GatewayClient:
    """One signaling socket and, once it calls, one caller."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        #: Every frame received so far.
        self.frames: list[Frame] = []
        #: Close code of the server, None while the socket is open.
        self.closed: int | None = None
        #: Id of the call, once it was answered.
        self.session = ""
        self.caller = WebRtcCaller()
        self._reader = reader
        self._writer = writer
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._text = ""
        self._seen = 0
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    # ── the socket ─────────────────────────────────────────────────────────────────────────────────────────────

    async def shake_hands(self, host: str, path: str, headers: list[tuple[bytes, bytes]]) -> int:
        """Open the WebSocket; returns the HTTP status, 101 when it is open."""
        self._writer.write(self._ws.send(Request(host=host, target=path, extra_headers=headers)))
        while True:
            data = await self._reader.read(65536)
            self._ws.receive_data(data or None)
            for event in self._ws.events():
                if isinstance(event, AcceptConnection):
                    self._reading = asyncio.create_task(self._read())
                    return 101
                if isinstance(event, RejectConnection):
                    return event.status_code

    async def send(self, kind: str, data: object = None, **members: Any) -> None:
        """Send a frame of this client's session."""
        frame = {"type": kind, "sessionId": self.session, **members}
        if data is not None:
            frame["data"] = data
        await self.send_text(json.dumps(frame))

    async def send_text(self, text: str) -> None:
        """Send any text as one frame."""
        await self.send_raw(self._ws.send(TextMessage(data=text)))

    async def send_raw(self, data: bytes) -> None:
        """Send any bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def wait_frame(self, kind: str, seconds: float = SOON, **wanted: Any) -> Frame:
        """The next frame of this kind whose data has the ``wanted`` members; those before it are passed over."""

        def find() -> Frame | None:
            while self._seen < len(self.frames):
                frame = self.frames[self._seen]
                self._seen += 1
                if frame["type"] == kind and wanted.items() <= frame["data"].items():
                    return frame
            return None

        return await self._wait(find, seconds, f"{kind} {wanted}")

    async def wait_error(self, seconds: float = SOON) -> tuple[str, str]:
        """Code and reason of the next error."""
        data = (await self.wait_frame("error", seconds))["data"]
        return data["code"], data["reason"]

    async def wait_event(self, event: str, seconds: float = SOON, **wanted: Any) -> Frame:
        """Data of the next event of this name."""
        data: Frame = (await self.wait_frame("event", seconds, event=event, **wanted))["data"]
        return data

    async def wait_closed(self, seconds: float = SOON) -> int:
        """The Close code of the server."""
        return await self._wait(lambda: self.closed, seconds, "the end of the socket")

    def drop(self) -> None:
        """Cut the TCP connection without a word."""
        self._writer.transport.abort()

    async def _wait(self, find: Callable[[], Found | None], seconds: float, what: str) -> Found:
        try:
            async with asyncio.timeout(seconds):
                while (found := find()) is None:
                    if self.closed is not None:
                        raise AssertionError(f"closed with {self.closed}, waiting for {what}: {self.frames[-3:]}")
                    self._news.clear()
                    await self._news.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {what}; the last frames: {self.frames[-3:]}") from None

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError):
            while self.closed is None and (data := await self._reader.read(65536)):
                self._ws.receive_data(data)
                for event in self._ws.events():
                    await self._take(event)
        if self.closed is None:
            self.closed = DROPPED
        self._news.set()

    async def _take(self, event: Event) -> None:
        match event:
            case TextMessage(data=text, message_finished=finished):
                self._text += text
                if finished:
                    self.frames.append(json.loads(self._text))
                    self._text = ""
            case Ping():
                await self.send_raw(self._ws.send(event.response()))
            case CloseConnection(code=code):
                self.closed = int(code)
                with contextlib.suppress(Exception):
                    await self.send_raw(self._ws.send(event.response()))
        self._news.set()

    # ── the call ───────────────────────────────────────────────────────────────────────────────────────────────

    async def offer(self, token: str | None, *, sdp: str | None = None, **members: Any) -> None:
        """Send an offer: this caller's own, or ``sdp``."""
        if sdp is None:
            sdp = await self.caller.offer()
        if token is not None:
            members["authToken"] = token
        await self.send("offer", {"type": "offer", "sdp": sdp}, **members)

    async def call(self, token: str, **members: Any) -> str:
        """Offer, take the answer, wait until audio can flow; returns the id of the call."""
        await self.offer(token, **members)
        await self.take_answer()
        await self.caller.wait_connected(SOON)
        return self.session

    async def take_answer(self) -> str:
        """Wait for the answer and give it to the caller; returns its SDP."""
        answer = await self.wait_frame("answer")
        self.session = answer["sessionId"]
        sdp: str = answer["data"]["sdp"]
        await self.caller.accept(sdp)
        return sdp

    async def offer_again(self) -> None:
        """Offer a new connection for the call, as a page does that hears nothing any more; take the answer."""
        ticket = next(frame["data"]["resumeToken"] for frame in reversed(self.frames) if frame["type"] == "answer")
        before, self.caller = self.caller, WebRtcCaller()
        await self.offer(ticket)
        await self.take_answer()
        await self.caller.wait_connected(SOON)
        await before.close()

    async def hang_up(self) -> int:
        """End the call as a caller does; returns the Close code that follows."""
        await self.send("close")
        return await self.wait_closed()

    async def say(self, sound: bytes | str | Path) -> None:
        """Speak, and wait until it was said."""
        self.caller.say(sound)
        while self.caller.saying:
            await asyncio.sleep(0.02)

    async def hears(self, words: str, seconds: float = SOON) -> Frame:
        """The next line of the agent that has ``words`` in it."""
        while True:
            line = await self.wait_event("transcript", seconds, role="agent")
            if words.lower() in line["text"].lower():
                return line

    async def close(self) -> None:
        """Let go of everything."""
        await self.caller.close()
        self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def open_client(url: str, headers: list[tuple[bytes, bytes]] | None = None) -> AsyncIterator[GatewayClient]:
    """A client with an open socket on ``url`` (``ws://host:port/path``)."""
    where = urlsplit(url)
    assert where.hostname is not None
    client = GatewayClient(*await asyncio.open_connection(where.hostname, where.port))
    try:
        status = await client.shake_hands(where.netloc, where.path, headers or [])
        assert status == 101, status
        yield client
    finally:
        await client.close()


def token_for(data: Path, agent: str = "front-desk", **options: Any) -> str:
    """A fresh call token, without the detour through a process of its own."""
    return mint_token(open_workspace(data), agent=agent, **options)
