"""The head of an HTTP/1.1 request at the public port, and the answers the port itself gives.

h11 reads the request. What it reads is written anew for the api role, so that both see the same request however oddly
it was spelled: no second one can hide in the first (RFC 9112 11.2).
"""

import msgspec
import trio
from h11 import NEED_DATA, Connection, ConnectionClosed, RemoteProtocolError, Request
from h11 import SERVER as SERVER_ROLE

from offhook.protocol.errors import OffhookError
from offhook.services.gateway.limits import Limits

_CHUNK = 16 * 1024
_TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class BadRequest(OffhookError):
    """The request cannot be served; ``status`` is the HTTP status, ``reason`` the stable word for it."""

    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = headers or {}

    def response(self) -> bytes:
        """The whole response: problem details (RFC 9457), and the connection ends."""
        title = _TITLES[self.status]
        problem = {"type": "about:blank", "title": title, "status": self.status, "detail": self.message}
        body = msgspec.json.encode({**problem, "code": self.reason})
        headers = {
            "Content-Type": "application/problem+json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {title}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + body


class IncomingRequest(msgspec.Struct, frozen=True):
    """A request whose head is complete."""

    head: Request
    #: Every byte read so far, and those of them that follow the head.
    raw: bytes
    trailing: bytes
    #: Goes on to read the body.
    connection: Connection

    @property
    def is_upgrade(self) -> bool:
        """Whether it asks for a WebSocket (RFC 6455 4.1)."""
        upgrade = b",".join(self.values(b"upgrade")).lower()
        return b"websocket" in [word.strip() for word in upgrade.split(b",")]

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header, in order."""
        return [value for key, value in self.head.headers if key == name]


async def read_request(stream: trio.abc.ReceiveStream, limits: Limits) -> IncomingRequest | None:
    """Read until the head is complete; None when the visitor goes away first. Raises ``BadRequest``."""
    connection = Connection(SERVER_ROLE, max_incomplete_event_size=limits.head_bytes)
    raw = bytearray()
    while True:
        try:
            event = connection.next_event()
        except RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint, "bad_request", f"This is not HTTP/1.1: {error}.") from error
        if isinstance(event, Request):
            trailing = connection.trailing_data[0]
            request = IncomingRequest(event, bytes(raw), trailing, connection)
            # h11 bounds a head that is incomplete; one that came in a single piece is measured here.
            if len(raw) - len(trailing) > limits.head_bytes:
                raise BadRequest(431, "bad_request", f"The head may have at most {limits.head_bytes} bytes.")
            _check(request)
            return request
        if isinstance(event, ConnectionClosed):
            return None
        assert event is NEED_DATA
        data = bytes(await stream.receive_some(_CHUNK))
        raw += data
        connection.receive_data(data)


def _check(request: IncomingRequest) -> None:
    """What h11 lets pass and we do not."""
    lengths, codings = request.values(b"content-length"), request.values(b"transfer-encoding")
    # RFC 9112 6.1: both may be an attempt at smuggling; and no HTTP/1.0 client has chunks to send.
    if codings and (lengths or request.head.http_version < b"1.1"):
        raise BadRequest(400, "bad_request", "Send either Content-Length or Transfer-Encoding, not both.")
    if request.head.method in {b"CONNECT", b"TRACE"}:
        raise BadRequest(405, "method_not_allowed", "This method is not served here.", {"Allow": "GET, HEAD, POST"})


def check_handshake(request: IncomingRequest) -> None:
    """Refuse a WebSocket handshake that cannot succeed (RFC 6455 4.2.1) and a subprotocol, of which there is none."""
    if request.head.method != b"GET" or request.head.http_version < b"1.1":
        raise BadRequest(400, "bad_request", "A WebSocket begins with GET and HTTP/1.1.")
    if request.values(b"sec-websocket-version") != [b"13"]:
        raise BadRequest(426, "upgrade_required", "Use WebSocket version 13.", {"Sec-WebSocket-Version": "13"})
    if len(request.values(b"sec-websocket-key")) != 1 or len(request.values(b"origin")) > 1:
        raise BadRequest(400, "bad_request", "The handshake needs one Sec-WebSocket-Key and at most one Origin.")
    if request.values(b"sec-websocket-protocol"):
        raise BadRequest(400, "unknown_subprotocol", "There is no subprotocol here; open the WebSocket without one.")
    if request.values(b"content-length") or request.values(b"transfer-encoding"):
        raise BadRequest(400, "bad_request", "A WebSocket handshake has no body.")
    connection = b",".join(request.values(b"connection")).lower()
    if b"upgrade" not in [word.strip() for word in connection.split(b",")]:
        raise BadRequest(400, "bad_request", "A WebSocket handshake needs Connection: Upgrade.")
