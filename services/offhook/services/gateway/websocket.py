"""A caller's WebSocket as the port ``CallerSocket``, on trio-websocket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from offhook.actors.caller_socket import CallerSocket, CloseCode, SocketClosed
from offhook.protocol.errors import Refusal
from offhook.protocol.join import encode_refusal, session_of
from offhook.protocol.signal import encode_error
from offhook.services.gateway.guarded_stream import GuardedStream
from offhook.services.gateway.limits import Limits
from offhook.services.gateway.visitor import Visitor

#: Messages kept for an actor that is busy; beyond them the client's bytes wait in the network.
_QUEUE = 32
#: Pongs of the caller that may be missed in a row.
_MISSED = 2


class CallerWebSocket:
    """One caller's socket (``CallerSocket``)."""

    def __init__(
        self, connection: WebSocketConnection, stream: GuardedStream, visitor: Visitor, limits: Limits
    ) -> None:
        self.origin = visitor.origin
        self.address = visitor.address
        self.path = visitor.path
        self.session = ""
        self._connection = connection
        self._stream = stream
        self._limits = limits

    async def receive(self) -> str:
        """The next text frame. Raises ``SocketClosed``."""
        try:
            message = await self._connection.get_message()
        except ConnectionClosed as closed:
            raise _closed(closed) from None
        # The guarded stream lets no binary frame through.
        assert isinstance(message, str)
        return message

    async def send(self, text: str) -> None:
        """Send one text frame; drop the caller who does not take it in time. Raises ``SocketClosed``."""
        with trio.move_on_after(self._limits.send_seconds) as scope:
            try:
                await self._connection.send_message(text)
            except ConnectionClosed as closed:
                raise _closed(closed) from None
        if scope.cancelled_caught:
            # Part of the frame may be out: nothing can follow on this connection, not even a Close frame.
            self._stream.drop()
            raise SocketClosed(CloseCode.ABNORMAL, "the caller does not read")

    async def wait_received(self) -> None:
        """Ping, and wait for the pong. Raises ``SocketClosed``."""
        try:
            await self._connection.ping()
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send a Close frame and wait a moment for the caller's; then the connection is gone either way."""
        with trio.move_on_after(self._limits.close_seconds):
            await self._connection.aclose(code, reason)

    async def refuse(self, refusal: Refusal) -> None:
        """Tell the caller why the connection is about to be closed; a caller who is gone need not know."""
        try:
            await self.send(encode_refusal(refusal) if session_of(self.path) else encode_error(self.session, refusal))
        except SocketClosed:
            return

    async def keep_alive(self) -> None:
        """Ping a quiet caller; drop one who misses two in a row."""
        missed = 0
        while missed < _MISSED:
            if not missed:
                await trio.sleep(self._limits.ping_seconds)
            missed += 1
            with trio.move_on_after(self._limits.ping_seconds):
                try:
                    await self._connection.ping()
                except ConnectionClosed:
                    return
                missed = 0
        self._stream.drop()


async def serve_caller(
    stream: GuardedStream,
    visitor: Visitor,
    limits: Limits,
    handle: Callable[[CallerSocket], Awaitable[None]],
) -> None:
    """Accept the handshake that ``stream`` begins with, run ``handle``, close.

    Returns without running it when the handshake does not end in time. What ``handle`` raises is raised here, after
    the caller got a Close frame.
    """
    async with _open_connection(stream, limits) as connection:
        if connection is None:
            return
        socket = CallerWebSocket(connection, stream, visitor, limits)
        stream.open(socket.refuse)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.keep_alive)
            try:
                await handle(socket)
            except SocketClosed:
                # The ordinary end: the caller went away while it was being served.
                pass
            except BaseException as error:
                code = CloseCode.GOING_AWAY if isinstance(error, trio.Cancelled) else CloseCode.INTERNAL
                with trio.CancelScope(shield=True):
                    await socket.close(code)
                raise
            await socket.close()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _open_connection(stream: GuardedStream, limits: Limits) -> AsyncIterator[WebSocketConnection | None]:
    """The accepted connection and its reader task, or None when it could not be accepted in time."""
    async with trio.open_nursery() as nursery:
        try:
            connection = None
            with trio.move_on_after(limits.handshake_seconds):
                request = await wrap_server_stream(
                    nursery, stream, message_queue_size=_QUEUE, max_message_size=limits.message_bytes
                )
                connection = await request.accept()
            yield connection
        finally:
            # Bounded by ``close_seconds``; the reader may be in the middle of it, after a Close frame.
            with trio.CancelScope(shield=True):
                await stream.aclose()
            nursery.cancel_scope.cancel()


def _closed(closed: ConnectionClosed) -> SocketClosed:
    if closed.reason is None:
        return SocketClosed(CloseCode.ABNORMAL)
    return SocketClosed(closed.reason.code, closed.reason.reason or "")
