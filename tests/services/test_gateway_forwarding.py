"""Requests that go on to the api role: the visitor's address survives, nothing is smuggled, an absent api is told."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network

import h11
import pytest
import trio

from offhook.actors.caller_socket import CallerSocket
from offhook.services.gateway import Limits, serve_gateway
from offhook.services.gateway.visitor import Network

PROXIES: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def no_calls(socket: CallerSocket) -> None:
    raise AssertionError(f"not a call: {socket.path}")


class Api:
    """An api role that answers every request of a connection with what it understood, as HTTP servers do."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, list[str]], bytes]] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            with contextlib.suppress(h11.RemoteProtocolError, trio.BrokenResourceError):
                await self._answer(connection, stream)

    async def _answer(self, connection: h11.Connection, stream: trio.SocketStream) -> None:
        while connection.our_state is h11.IDLE or connection.our_state is h11.SEND_RESPONSE:
            head, body = None, b""
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.ConnectionClosed):
                    return
                else:
                    connection.receive_data(await stream.receive_some())
            assert head is not None
            headers: dict[str, list[str]] = {}
            for name, value in head.headers:
                headers.setdefault(name.decode(), []).append(value.decode())
            self.requests.append((f"{head.method.decode()} {head.target.decode()}", headers, body))
            answer = b"you said " + body
            response = h11.Response(status_code=200, headers=[("Content-Length", str(len(answer)))])
            for part in (response, h11.Data(data=answer), h11.EndOfMessage()):
                await stream.send_all(connection.send(part) or b"")
            if connection.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                connection.start_next_cycle()


@asynccontextmanager
async def gateway(
    api: Api | Callable[[trio.SocketStream], Awaitable[object]] | None = None,
    *,
    trusted: tuple[Network, ...] = (),
    limits: Limits | None = None,
) -> AsyncIterator[int]:
    """The public port's number; ``api`` is an ``Api``, a handler of its connections, or None for a closed port."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        upstream = listeners[0].socket.getsockname()[:2]
        if api is None:
            await listeners[0].aclose()
        else:
            handler = api.serve if isinstance(api, Api) else api
            nursery.start_soon(partial(trio.serve_listeners, handler, listeners))
        serve = partial(serve_gateway, upstream=upstream, handle=no_calls, trusted_proxies=trusted, limits=limits)
        port = await nursery.start(serve, "127.0.0.1", 0)
        with trio.fail_after(30):
            yield port
        nursery.cancel_scope.cancel()


async def ask(port: int, *parts: bytes, end: bool = False) -> bytes:
    """Send the parts one after another, read until the gateway closes."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for part in parts:
            await stream.send_all(part)
            await trio.sleep(0.02 if len(parts) > 1 else 0)
        if end:
            await stream.send_eof()
        answer = b""
        while data := await stream.receive_some():
            answer += data
        return answer


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    parsed = json.loads(body)
    assert parsed["detail"]
    return int(head.split()[1]), parsed["code"]


@pytest.mark.anyio
async def test_the_visitor_survives_and_nothing_is_spoofed() -> None:
    api = Api()
    async with gateway(api) as port:
        answer = await ask(
            port,
            b"POST /v1/calls?x=1 HTTP/1.1\r\nHost: talk.example\r\nContent-Length: 5\r\n"
            b"Connection: keep-alive, x-secret\r\n"
            b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
            b"X-Forwarded-Port: 1\r\nX_Forwarded_For: 198.51.100.8\r\nForwarded: for=198.51.100.9\r\n"
            b"X-Real-IP: 198.51.100.10\r\nKeep-Alive: 5\r\nProxy: http://evil\r\nAuthorization: Bearer k\r\n\r\nhello",
        )
    assert answer.endswith(b"\r\n\r\nyou said hello")
    [(line, headers, body)] = api.requests
    assert (line, body) == ("POST /v1/calls?x=1", b"hello")
    assert headers == {
        "host": ["talk.example"],
        "content-length": ["5"],
        "authorization": ["Bearer k"],
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-proto": ["http"],
        "x-forwarded-host": ["talk.example"],
        "connection": ["close"],
    }


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("10.1.2.3", "127.0.0.1"),
    ],
)
@pytest.mark.anyio
async def test_a_trusted_proxy_is_believed(forwarded: str, address: str) -> None:
    api = Api()
    async with gateway(api, trusted=PROXIES) as port:
        head = f"GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: {forwarded}\r\nX-Forwarded-Proto: https\r\n"
        await ask(port, head.encode() + b"X-Forwarded-Host: talk.example\r\n\r\n")
    headers = api.requests[0][1]
    assert headers["x-forwarded-for"] == [address]
    assert headers["x-forwarded-proto"] == ["https"]
    assert headers["x-forwarded-host"] == ["talk.example"]


@pytest.mark.parametrize(
    "smuggled",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: 40\r\n\r\nabcd",
        b"Content-Length: 4, 40\r\n\r\nabcd",
        b"Content-Length: +4\r\n\r\nabcd",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length : 4\r\n\r\nabcd",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"X: a\rb\r\n\r\n",
        b"X: a\x00b\r\n\r\n",
        b"Host: b\r\n\r\n",
    ],
)
@pytest.mark.anyio
async def test_ambiguous_requests_are_refused(smuggled: bytes) -> None:
    api = Api()
    async with gateway(api) as port:
        status, code = problem(await ask(port, b"POST / HTTP/1.1\r\nHost: a\r\n" + smuggled))
        assert status in {400, 501}
        assert code == "bad_request"
    assert api.requests == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 198.51.100.7\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n X-Forwarded-For: 198.51.100.7\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-FORWARDED-FOR:198.51.100.7\r\n\r\n",
    ],
    ids=["bare line feeds", "folded line", "capitals"],
)
@pytest.mark.anyio
async def test_odd_spellings_reach_the_api_as_proper_lines(head: bytes) -> None:
    api = Api()
    async with gateway(api) as port:
        await ask(port, head)
    assert api.requests[0][1]["x-forwarded-for"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "first",
    [
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
        b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ],
)
@pytest.mark.anyio
async def test_what_follows_a_request_is_never_taken_for_another(first: bytes) -> None:
    api = Api()
    async with gateway(api) as port:
        answer = await ask(port, first + b"GET /2 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert [line.split()[1] for line, _, _ in api.requests] == ["/1"]


@pytest.mark.anyio
async def test_chunks_and_slow_bodies_arrive_whole() -> None:
    api = Api()
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-forwarded-for\r\n\r\n"
    async with gateway(api) as port:
        trailers = b"0\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"
        await ask(port, chunked, b"5;ext=1\r\nhel", b"lo\r\n", b"6\r\n world\r\n", trailers)
        big = b"x" * 300_000
        answer = await ask(port, b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + big)
        assert answer.endswith(big)
    assert [body for _, _, body in api.requests] == [b"hello world", big]
    assert api.requests[0][1]["x-forwarded-for"] == ["127.0.0.1"]


@pytest.mark.anyio
async def test_half_closed_visitor_gets_its_answer() -> None:
    api = Api()
    async with gateway(api) as port:
        assert (await ask(port, b"GET / HTTP/1.0\r\n\r\n", end=True)).endswith(b"you said ")
    assert api.requests[0][1]["x-forwarded-for"] == ["127.0.0.1"]


@pytest.mark.anyio
async def test_body_that_stops_early() -> None:
    async with gateway(Api()) as port:
        cut = await ask(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", end=True)
        assert problem(cut) == (400, "bad_request")


@pytest.mark.anyio
async def test_api_is_down() -> None:
    async with gateway() as port:
        answer = await ask(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert problem(answer) == (503, "unavailable")
    assert b"\r\nRetry-After: 1\r\n" in answer


@pytest.mark.anyio
async def test_api_goes_away_before_it_answers() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.aclose()

    async with gateway(serve) as port:
        assert problem(await ask(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")) == (503, "unavailable")


@pytest.mark.anyio
async def test_api_does_not_answer() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await trio.sleep_forever()

    async with gateway(serve, limits=Limits(idle_seconds=0.1)) as port:
        assert problem(await ask(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")) == (504, "unavailable")


@pytest.mark.anyio
async def test_api_answers_before_the_body_is_over() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await stream.send_eof()
            await trio.sleep(0.2)

    async with gateway(serve) as port:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        assert (await ask(port, head + b"x" * 1000)).startswith(b"HTTP/1.1 413")


@pytest.mark.anyio
async def test_streamed_response_arrives_as_it_is_made() -> None:
    heard = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            await heard.wait()
            await stream.send_all(b"data: 2\n\n")

    async with gateway(serve) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while b"data: 1" not in answer:
            answer += await stream.receive_some()
        heard.set()
        while data := await stream.receive_some():
            answer += data
        assert answer.endswith(b"data: 1\n\ndata: 2\n\n")


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
@pytest.mark.anyio
async def test_methods_that_are_not_for_us(method: bytes) -> None:
    async with gateway(Api()) as port:
        answer = await ask(port, method + b" a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert problem(answer) == (405, "method_not_allowed")


@pytest.mark.anyio
async def test_other_upgrades_are_plain_requests() -> None:
    api = Api()
    async with gateway(api) as port:
        head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n"
        assert b" 200 " in await ask(port, head)
    assert "upgrade" not in api.requests[0][1]
