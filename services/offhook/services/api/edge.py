"""What every request passes first and every response passes last."""

import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from offhook.protocol.errors import Reason
from offhook.services.api.problems import MEDIA_TYPE, Problem

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Longest request body, bytes.
MAX_BODY = 1024 * 1024

#: Scripts, styles and sockets of our own only; nobody else frames the page or hears its microphone.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self' ws: wss:",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
HEADERS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)


class Edge:
    """ASGI around the application: request ids, security headers, the body limit, and HEAD as GET without a body."""

    def __init__(self, app: Any, trusted: Sequence[Network] = ()) -> None:
        """``trusted`` are the networks of proxies that are believed about the visitor."""
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        head = scope["method"] == "HEAD"
        forwarded = _is_trusted(scope, self._trusted)
        scope = {**scope, "offhook.request_id": request_id, "offhook.head": head, "offhook.forwarded": forwarded}
        if head:
            scope["method"] = "GET"
        more = (*HEADERS, (b"x-request-id", request_id.encode()))

        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                added = [header for header in more if header[0] not in names]
                if b"cache-control" not in names:
                    added.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *added]}
            elif message["type"] == "http.response.body" and head:
                message = {**message, "body": b""}
            await send(message)

        if _announced_body(scope) > MAX_BODY:
            await _refuse(send_on, request_id)
        else:
            await self._app(scope, receive, send_on)


def client_of(scope: Mapping[str, Any]) -> str:
    """Address of the one who asks. ``X-Forwarded-For`` counts only from a trusted proxy."""
    address: str = scope["client"][0] if scope.get("client") else ""
    forwarded = _forwarded(scope, b"x-forwarded-for")
    # The last address is the one our own proxy has seen; what stands before it came from the client.
    return forwarded.rpartition(",")[2].strip() if forwarded else address


def only_head(scope: Mapping[str, Any]) -> bool:
    """Whether nobody wants to see the body (HEAD)."""
    return bool(scope["offhook.head"])


def scheme_of(scope: Mapping[str, Any]) -> str:
    """``http`` or ``https``, as the one who asks wrote it."""
    return "https" if _forwarded(scope, b"x-forwarded-proto") == "https" else str(scope["scheme"])


def forwarded_host(scope: Mapping[str, Any]) -> str:
    """The host that the one who asks wrote, where a trusted proxy tells it; empty where none does."""
    return _forwarded(scope, b"x-forwarded-host").rpartition(",")[2].strip()


def _forwarded(scope: Mapping[str, Any], name: bytes) -> str:
    if not scope["offhook.forwarded"]:
        return ""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _is_trusted(scope: Mapping[str, Any], trusted: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(scope["client"][0])
    except (TypeError, ValueError):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in network for network in trusted)


def _announced_body(scope: Mapping[str, Any]) -> int:
    lengths = [value for key, value in scope["headers"] if key == b"content-length"]
    return max((int(length) for length in lengths if length.isdigit()), default=0)


async def _refuse(send: Any, request_id: str) -> None:
    problem = Problem(
        413, Reason.MESSAGE_TOO_LARGE.value, f"The body is too large; at most {MAX_BODY} bytes are taken."
    )
    body = problem.document(request_id)
    # The body that was announced is not read, so the connection cannot carry another request.
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
