"""Requests that are not ours go on to the api role: the head rewritten, the body framed anew, the response untouched.

One request per connection (``Connection: close`` both ways): so every request carries the visitor's address, and no
byte after the first request is ever taken for a second one.
"""

import trio
from h11 import Data, EndOfMessage, RemoteProtocolError

from offhook.services.gateway.http_request import BadRequest, IncomingRequest
from offhook.services.gateway.limits import Limits
from offhook.services.gateway.visitor import Visitor

_CHUNK = 64 * 1024
_CONNECT_SECONDS = 2.0
#: What belongs to one hop only (RFC 9110 7.6.1), and ``Proxy``, which CGI servers mistake for a setting.
_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"proxy"})


async def forward(
    visitor_stream: trio.SocketStream,
    request: IncomingRequest,
    visitor: Visitor,
    upstream: tuple[str, int],
    limits: Limits,
) -> None:
    """Pass ``request`` on to ``upstream`` and its response back.

    Raises ``BadRequest`` while nothing of a response has been sent; afterwards a broken upstream just ends the
    response.
    """
    try:
        with trio.fail_after(_CONNECT_SECONDS):
            upstream_stream = await trio.open_tcp_stream(*upstream)
    except (OSError, trio.TooSlowError) as error:
        raise _unavailable("The service is starting or restarting; try again in a moment.") from error
    async with upstream_stream:
        exchange = _Exchange(visitor_stream, upstream_stream, request, limits)
        await exchange.run(_head(request, visitor, upstream))


class _Exchange:
    """One request and its response, both ways at once."""

    def __init__(
        self, visitor: trio.SocketStream, upstream: trio.SocketStream, request: IncomingRequest, limits: Limits
    ) -> None:
        self._visitor = visitor
        self._upstream = upstream
        self._request = request
        self._limits = limits
        self._scope = trio.CancelScope()
        self._response_begun = False
        self._fault: BadRequest | None = None

    async def run(self, head: bytes) -> None:
        self._move()
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_request, head)
                await self._pass_response()
                nursery.cancel_scope.cancel()
        if self._response_begun:
            return
        if self._fault is not None:
            raise self._fault
        if self._scope.cancelled_caught:
            raise BadRequest(504, "unavailable", "The service did not answer in time.")
        raise _unavailable("The service went away before it answered; try again in a moment.")

    def _move(self) -> None:
        """Something came or went: the idle time starts over."""
        self._scope.deadline = trio.current_time() + self._limits.idle_seconds

    async def _pass_request(self, head: bytes) -> None:
        chunked = bool(self._request.values(b"transfer-encoding"))
        try:
            await self._upstream.send_all(head)
            while (part := await self._next_part()) is not None:
                await self._upstream.send_all(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                self._move()
            if chunked:
                await self._upstream.send_all(b"0\r\n\r\n")
        except trio.BrokenResourceError:
            # The api role has answered without waiting for the body, or is gone: its response tells.
            return
        except RemoteProtocolError as error:
            self._fault = BadRequest(400, "bad_request", f"The body is not what its head says: {error}.")
            self._scope.cancel()

    async def _next_part(self) -> bytes | None:
        """The next bytes of the body, None after the last. Raises ``RemoteProtocolError``."""
        connection = self._request.connection
        while not isinstance(event := connection.next_event(), EndOfMessage):
            if isinstance(event, Data):
                if event.data:
                    return bytes(event.data)
                continue
            try:
                data = bytes(await self._visitor.receive_some(_CHUNK))
            except trio.BrokenResourceError:
                data = b""
            connection.receive_data(data)
        return None

    async def _pass_response(self) -> None:
        try:
            while data := await self._upstream.receive_some(_CHUNK):
                self._response_begun = True
                await self._visitor.send_all(data)
                self._move()
        except trio.BrokenResourceError:
            # One of the two is gone; there is nobody to tell or nothing to add.
            return


def _head(request: IncomingRequest, visitor: Visitor, upstream: tuple[str, int]) -> bytes:
    """The head as the api role shall see it; what names the visitor is ours alone to say."""
    head = request.head
    lines = [b"%b %b HTTP/%b" % (head.method, head.target, head.http_version)]
    for name, value in head.headers:
        plain = name.replace(b"_", b"-")
        if plain in _HOP or plain in {b"forwarded", b"x-real-ip"} or plain.startswith(b"x-forwarded-"):
            continue
        lines.append(b"%b: %b" % (name, value))
    host = visitor.host or f"{upstream[0]}:{upstream[1]}"
    if not request.values(b"host"):
        lines.append(b"host: " + host.encode("latin-1"))
    lines += [
        b"x-forwarded-for: " + visitor.address.encode("latin-1"),
        b"x-forwarded-proto: " + visitor.scheme.encode("latin-1"),
        b"x-forwarded-host: " + host.encode("latin-1"),
        b"connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _unavailable(message: str) -> BadRequest:
    return BadRequest(503, "unavailable", message, {"Retry-After": "1"})
