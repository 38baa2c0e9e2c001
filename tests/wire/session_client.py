"""A scripted client of the session protocol (S1-S4): REST with a secret key, then a WebSocket; the server offers."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from gateway_client import SOON, Frame, GatewayClient


def ask(method: str, url: str, key: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """A REST request; its status and JSON. ``_`` in the name of a header is a hyphen."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=SOON) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


class SessionClient(GatewayClient):
    """One socket of a session and, once it has joined, one caller."""

    async def send(self, kind: str, data: object = None, **members: Any) -> None:
        """Send a frame; there are no sessions and no ``data`` in this protocol."""
        await self.send_text(json.dumps({"type": kind, **members}))

    async def wait_frame(self, kind: str, seconds: float = SOON, **wanted: Any) -> Frame:
        """The next frame of this kind that has the ``wanted`` members; those before it are passed over."""

        def find() -> Frame | None:
            while self._seen < len(self.frames):
                frame = self.frames[self._seen]
                self._seen += 1
                if frame["type"] == kind and wanted.items() <= frame.items():
                    return frame
            return None

        return await self._wait(find, seconds, f"{kind} {wanted}")

    async def wait_error(self, seconds: float = SOON) -> tuple[str, str]:
        """Code and message of the next error."""
        frame = await self.wait_frame("error", seconds)
        return frame["code"], frame["message"]

    async def call(self, token: str, **members: Any) -> str:
        """Authorize, answer the server's offer, wait until audio can flow."""
        await self.send("auth", token=token)
        offer = (await self.wait_frame("offer"))["sdp"]
        assert offer["type"] == "offer"
        await self.send("answer", sdp={"type": "answer", "sdp": await self.caller.answer(offer["sdp"])})
        await self.caller.wait_connected(SOON)
        return self.session

    async def hears(self, words: str, seconds: float = SOON) -> Frame:
        """The next line of the agent that has ``words`` in it."""
        while True:
            line = await self.wait_frame("transcript", seconds, role="agent")
            if words.lower() in line["text"].lower():
                return line


@asynccontextmanager
async def open_session(url: str, headers: list[tuple[bytes, bytes]] | None = None) -> AsyncIterator[SessionClient]:
    """A client with an open socket on ``websocket_url``."""
    where = urlsplit(url)
    assert where.hostname is not None
    client = SessionClient(*await asyncio.open_connection(where.hostname, where.port))
    client.session = where.path.rpartition("/")[2]
    try:
        status = await client.shake_hands(where.netloc, where.path, headers or [])
        assert status == 101, status
        yield client
    finally:
        await client.close()
