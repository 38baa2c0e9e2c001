"""A stand-in for the gateway and the API, for tests of the page alone: it says what a test tells it to say.

It serves the real files of the page under the real content security policy, gives tokens, and answers an offer with an
SDP that leads nowhere: no audio flows, all events are scripted. The tests of whole calls use the real gateway.
"""

import json
import queue
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from offhook.web import FOLDER

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
SESSION = "00000000-0000-4000-8000-000000000001"

Frame = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class StandInGateway:
    """What the server says, and what it was told."""

    def __init__(self) -> None:
        self.address = ""
        self.agent: Frame = {"id": "ag_ada", "name": "Ada Lovelace"}
        #: Status and body of the answer to ``POST /api/demo/token``.
        self.token: tuple[int, Frame] = (200, {"token": "tok_1", "websocketUrl": "/api/v1/webrtc/signal"})
        #: ``data`` of the error an offer is refused with, or None.
        self.refusal: Frame | None = None
        #: Frames sent right before the answer.
        self.before_answer: list[Frame] = []
        #: False: offers are heard and never answered.
        self.answers = True
        #: What a caller who comes back is told, or ``data`` of the error it is refused with.
        self.welcome: Frame = {"state": "answered"}
        #: Number of the last event.
        self.seq = 0
        #: Frames of the page, in order.
        self.heard: queue.Queue[Frame] = queue.Queue()
        self._out: trio.MemorySendChannel[Frame | None] | None = None
        self._stop = trio.Event()
        self._trio: trio.lowlevel.TrioToken | None = None
        self._listening = threading.Event()

    def event(self, event: str, **data: Any) -> None:
        """Send an event of the call to the page."""
        self.seq += 1
        self.say({"type": "event", "sessionId": SESSION, "data": {"event": event, "seq": self.seq, **data}})

    def say(self, frame: Frame | None) -> None:
        """Send a frame to the page; None drops the socket."""
        assert self._trio is not None and self._out is not None, "the page has no socket"
        trio.from_thread.run_sync(self._out.send_nowait, frame, trio_token=self._trio)

    def close(self, code: int) -> None:
        """Close the page's socket with that code."""
        self.say({"type": "close", "code": code})

    def wait_heard(self, kind: str) -> Frame:
        """The next frame of that type; others are passed over."""
        while True:
            frame = self.heard.get(timeout=20)
            if frame["type"] == kind:
                return frame

    async def _app(self, scope: Frame, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                await send({"type": message["type"] + ".complete"})
        elif scope["type"] == "websocket":
            await self._socket(receive, send)
        else:
            await self._http(scope["method"], scope["path"], send)

    async def _http(self, method: str, path: str, send: Send) -> None:
        status, kind, body = 404, "text/plain", b"not found"
        if path == "/api/demo/agent":
            status, kind, body = 200, "application/json", json.dumps(self.agent).encode()
        elif (method, path) == ("POST", "/api/demo/token"):
            status, kind, body = self.token[0], "application/json", json.dumps(self.token[1]).encode()
        else:
            file = FOLDER / ("pages/call/index.html" if path == "/" else path.removeprefix("/web/"))
            if file.is_file():
                status, kind, body = 200, TYPES[file.suffix], file.read_bytes()
        headers = [(b"content-type", kind.encode()), (b"content-security-policy", CSP.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _socket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self._out, frames = trio.open_memory_channel[Frame | None](100)

        async def say() -> None:
            async for frame in frames:
                if frame is None or frame["type"] == "close":
                    await send({"type": "websocket.close", "code": 1011 if frame is None else frame["code"]})
                    return
                await send({"type": "websocket.send", "text": json.dumps(frame)})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            while (message := await receive())["type"] == "websocket.receive":
                frame = json.loads(message["text"])
                if frame["type"] == "offer" and self.answers:
                    await self._answer(frame["data"]["sdp"], send)
                elif frame["type"] == "resume":
                    await self._welcome(send)
                self.heard.put(frame)
            nursery.cancel_scope.cancel()

    async def _answer(self, sdp: str, send: Send) -> None:
        data = {"type": "answer", "sdp": answer_to(sdp), "resumeToken": "ret_1"}
        answer = {"type": "answer", "sessionId": SESSION, "data": data}
        refused = {"type": "error", "sessionId": "", "data": self.refusal}
        for frame in [refused] if self.refusal else [*self.before_answer, answer]:
            await send({"type": "websocket.send", "text": json.dumps(frame)})

    async def _welcome(self, send: Send) -> None:
        kind = "error" if "code" in self.welcome else "resumed"
        data = {"seq": self.seq, "resumeToken": "ret_2", **self.welcome}
        await send({"type": "websocket.send", "text": json.dumps({"type": kind, "sessionId": SESSION, "data": data})})

    async def run(self) -> None:
        """Serve until ``stop``."""
        self._trio = trio.lowlevel.current_trio_token()
        config = Config()
        config.bind = ["127.0.0.1:0"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = config.shutdown_timeout = 0.5
        async with trio.open_nursery() as nursery:
            start: Any = partial(serve, self._app, config, shutdown_trigger=self._stop.wait)  # type: ignore[arg-type]
            binds = await nursery.start(start)
            self.address = binds[0]
            self._listening.set()

    def wait_listening(self) -> None:
        """Wait until the port is open."""
        assert self._listening.wait(10), "the stand-in gateway does not listen"

    def stop(self) -> None:
        """Close the port and every socket."""
        trio.from_thread.run_sync(self._stop.set, trio_token=self._trio)


@contextmanager
def open_stand_in_gateway() -> Iterator[StandInGateway]:
    """Run one on a free port of the loopback, in a thread of its own."""
    gateway = StandInGateway()
    thread = threading.Thread(target=trio.run, args=(gateway.run,))
    thread.start()
    try:
        gateway.wait_listening()
        yield gateway
    finally:
        gateway.stop()
        thread.join(10)


def answer_to(offer: str) -> str:
    """An SDP answer that a browser accepts and that leads to nobody (RFC 8829 5.3)."""
    mid = re.search(r"^a=mid:(\S+)", offer, re.MULTILINE)
    opus = re.search(r"^a=rtpmap:(\d+) opus/48000/2", offer, re.MULTILINE)
    assert mid and opus, offer
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {mid[1]}",
        f"m=audio 9 UDP/TLS/RTP/SAVPF {opus[1]}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp-mux",
        "a=ice-ufrag:none",
        "a=ice-pwd:nobodynobodynobodynobody",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:active",
        f"a=mid:{mid[1]}",
        "a=sendrecv",
        f"a=rtpmap:{opus[1]} opus/48000/2",
        "a=msid:agent agent",
    ]
    return "\r\n".join(lines) + "\r\n"
