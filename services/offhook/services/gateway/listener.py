"""The public port: one listener for the callers' WebSockets and everything else."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import trio

from offhook.actors.caller_socket import CallerSocket
from offhook.protocol.join import session_of
from offhook.protocol.origins import origin_allowed
from offhook.services.gateway.forwarding import forward
from offhook.services.gateway.guarded_stream import GuardedStream, close_gently
from offhook.services.gateway.http_request import BadRequest, IncomingRequest, check_handshake, read_request
from offhook.services.gateway.limits import Limits
from offhook.services.gateway.visitor import Network, is_trusted, plain_address, visitor_of
from offhook.services.gateway.websocket import serve_caller

#: Where callers' WebSockets are served (G).
SIGNALING_PATH = "/api/v1/webrtc/signal"

_log = logging.getLogger(__name__)


async def serve_gateway(
    host: str,
    port: int,
    *,
    upstream: tuple[str, int] | None,
    handle: Callable[[CallerSocket], Awaitable[None]],
    allowed_origins: Collection[str] | None = None,
    trusted_proxies: Sequence[Network] = (),
    paths: Collection[str] = (SIGNALING_PATH,),
    limits: Limits | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the public port until cancelled; ``task_status`` gets the port's number.

    ``handle`` runs once for each WebSocket on one of ``paths`` or on that of a session (S2); when it returns the socket
    is closed with 1000, when it raises with 1011, and the others go on. Requests that are none of ours go to
    ``upstream`` (host, port), or get 503 where there is none. ``allowed_origins`` None takes any page. Raises
    ``OSError`` when the port is taken.
    """
    gate = _Gate(upstream, handle, allowed_origins, trusted_proxies, frozenset(paths), limits or Limits())
    listeners = await trio.open_tcp_listeners(port, host=host)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, gate.serve, listeners)
        task_status.started(listeners[0].socket.getsockname()[1])


class _Gate:
    """What every connection of the port shares."""

    def __init__(
        self,
        upstream: tuple[str, int] | None,
        handle: Callable[[CallerSocket], Awaitable[None]],
        allowed_origins: Collection[str] | None,
        trusted: Sequence[Network],
        paths: frozenset[str],
        limits: Limits,
    ) -> None:
        self._upstream = upstream
        self._handle = handle
        self._allowed_origins = allowed_origins
        self._trusted = trusted
        self._paths = paths
        self._limits = limits
        self._half_open: Counter[str] = Counter()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, from its first byte to its last."""
        try:
            await self._serve(stream, plain_address(stream.socket.getpeername()[0]))
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            # Gone before we asked who it is, or while we answered. A fault inside ``handle`` comes in a group.
            pass
        except Exception:
            # The edge: a fault of ours in one caller's connection must not end everybody else's.
            _log.exception("connection failed")
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SocketStream, peer: str) -> None:
        try:
            with self._handshake(peer) as allowed:
                request = None
                with trio.move_on_after(self._limits.handshake_seconds):
                    request = await read_request(stream, self._limits) if allowed else None
            if request is not None:
                await self._answer(stream, peer, request)
        except BadRequest as refused:
            with trio.move_on_after(self._limits.handshake_seconds):
                await stream.send_all(refused.response())
        await close_gently(stream, self._limits.close_seconds)

    def _is_ours(self, path: str) -> bool:
        return path in self._paths or session_of(path) != ""

    @contextmanager
    def _handshake(self, peer: str) -> Iterator[bool]:
        """Whether one more connection of ``peer`` may be without a complete head. A proxy stands for many."""
        if is_trusted(peer, self._trusted):
            yield True
            return
        self._half_open[peer] += 1
        try:
            yield self._half_open[peer] <= self._limits.half_open
        finally:
            self._half_open[peer] -= 1
            if not self._half_open[peer]:
                del self._half_open[peer]

    async def _answer(self, stream: trio.SocketStream, peer: str, request: IncomingRequest) -> None:
        """Serve a request whose head is here. Raises ``BadRequest``."""
        visitor = visitor_of(request.head, peer, self._trusted)
        if request.is_upgrade:
            if not self._is_ours(visitor.path):
                raise BadRequest(404, "not_found", "There is no WebSocket at this path.")
            check_handshake(request)
            if self._allowed_origins is not None and not origin_allowed(visitor.origin, self._allowed_origins):
                raise BadRequest(
                    403, "origin_not_allowed", "This page may not start calls here; ask its owner to list it."
                )
            head = request.raw[: len(request.raw) - len(request.trailing)]
            guarded = GuardedStream(stream, head, request.trailing, self._limits)
            await serve_caller(guarded, visitor, self._limits, self._handle)
        elif self._is_ours(visitor.path):
            raise BadRequest(426, "upgrade_required", "Open a WebSocket at this path.", {"Upgrade": "websocket"})
        elif self._upstream is None:
            raise BadRequest(503, "unavailable", "This node serves calls only.", {"Retry-After": "60"})
        else:
            await forward(stream, request, visitor, self._upstream, self._limits)
