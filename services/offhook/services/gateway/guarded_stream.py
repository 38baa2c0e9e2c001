"""The TCP stream under a caller's WebSocket: only frames that keep the rules come through.

A frame that breaks them is replaced by a Close frame *of the client* with the code it deserves. trio-websocket answers
that with the same code and closes in good order, so the real client gets the Close frame it should, and there is one
way out of a connection instead of two.
"""

from collections.abc import Awaitable, Callable

import trio

from offhook.protocol.errors import Refusal
from offhook.services.gateway.frames import FrameScanner, Violation, close_frame
from offhook.services.gateway.limits import Limits

_CHUNK = 16 * 1024


class GuardedStream(trio.abc.Stream):
    """A server's stream: first the handshake that was read already, then whole frames."""

    def __init__(self, stream: trio.SocketStream, head: bytes, trailing: bytes, limits: Limits) -> None:
        self._stream = stream
        self._head = head
        self._trailing = trailing
        self._limits = limits
        self._scanner = FrameScanner(limits)
        self._opened = trio.Event()
        self._refuse: Callable[[Refusal], Awaitable[None]] | None = None
        self._ended = False
        self._closing = trio.Lock()
        self._closed = False

    def open(self, refuse: Callable[[Refusal], Awaitable[None]]) -> None:
        """The handshake is accepted: let frames through, and tell ``refuse`` what the client should know."""
        self._refuse = refuse
        self._opened.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The handshake, then at least one whole frame; ``max_bytes`` is ignored, frames stay whole."""
        del max_bytes
        if self._head:
            head, self._head = self._head, b""
            return head
        # Frames that overtake the answer to the handshake would wait inside the library until the next one comes.
        await self._opened.wait()
        if self._trailing:
            trailing, self._trailing = self._trailing, b""
            self._scanner.feed(trailing, trio.current_time())
        while not self._ended:
            try:
                frame = self._scanner.next_frame(trio.current_time())
                if frame is not None:
                    return frame
                data = await self._receive_in_time()
            except Violation as violation:
                return await self._close_for(violation)
            if not data:
                return b""
            self._scanner.feed(data, trio.current_time())
        return b""

    async def _receive_in_time(self) -> bytes:
        deadline = self._scanner.deadline
        with trio.CancelScope(deadline=float("inf") if deadline is None else deadline) as scope:
            return bytes(await self._stream.receive_some(_CHUNK))
        assert scope.cancelled_caught
        raise Violation(1008, "message not finished in time")

    async def _close_for(self, violation: Violation) -> bytes:
        self._ended = True
        if violation.refusal is not None and self._refuse is not None:
            await self._refuse(violation.refusal)
        return close_frame(violation.code, violation.message)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """To the client, unchanged."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close so that what was sent still arrives; whoever comes second waits for the first."""
        self._ended = True
        async with self._closing:
            if not self._closed:
                self._closed = True
                await close_gently(self._stream, self._limits.close_seconds)

    def drop(self) -> None:
        """Close at once; what is under way may be lost."""
        self._ended = True
        self._stream.socket.close()


async def close_gently(stream: trio.SocketStream, seconds: float) -> None:
    """Say that nothing follows, then read on for a moment.

    Closing a socket with unread bytes resets the connection, and a reset takes back what the peer has not read yet:
    its Close frame, or the answer that tells it what it did wrong.
    """
    try:
        with trio.move_on_after(seconds):
            await stream.send_eof()
            while await stream.receive_some(_CHUNK):
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
        # The peer was faster, or somebody still reads and will see the end.
        pass
    finally:
        await stream.aclose()
