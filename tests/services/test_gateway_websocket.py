"""The public port's WebSockets over raw TCP: each breach gets its exact Close code (bad-input list, signaling)."""

import base64
import json
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
import trio

from offhook.actors.caller_socket import CallerSocket, SocketClosed
from offhook.services.gateway import SIGNALING_PATH, Limits, serve_gateway

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, mask: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client sends it, or as it should not."""
    size = len(payload)
    length = bytes([size]) if size < 126 else struct.pack("!BH" if size < 65536 else "!BQ", 126 + (size >= 65536), size)
    head = bytes([final << 7 | rsv << 4 | opcode, length[0] | mask << 7]) + length[1:]
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


class Client:
    """A WebSocket client that does exactly what a test wants."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = await self.stream.receive_some()
            if not data:
                raise EOFError(self._buffer)
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    async def response(self) -> tuple[int, str]:
        """Status and everything of the head."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self._read(1)
        return int(head.split()[1]), head.decode()

    async def body(self) -> dict[str, object]:
        while data := await self.stream.receive_some():
            self._buffer += data
        body: dict[str, object] = json.loads(self._buffer)
        return body

    async def frame(self) -> tuple[int, bytes]:
        first, second = await self._read(2)
        assert second < 128, "a server must not mask"
        size = second
        if second >= 126:
            size = int.from_bytes(await self._read(2 if second == 126 else 8), "big")
        return first & 0x0F, await self._read(size)

    async def close_code(self) -> tuple[list[str], int]:
        """Reasons of the error frames until the Close frame, and its code; then the end of the connection."""
        reasons: list[str] = []
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                assert await self.stream.receive_some() == b""
                return reasons, int.from_bytes(payload[:2], "big")
            if opcode == TEXT and payload.startswith(b"{"):
                reasons.append(json.loads(payload)["data"]["reason"])


def handshake(path: str = SIGNALING_PATH, **changes: str | None) -> bytes:
    headers: dict[str, str | None] = {
        "Host": "gateway",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


async def echo(socket: CallerSocket) -> None:
    while True:
        await socket.send(await socket.receive())


@asynccontextmanager
async def gateway(
    handle: Callable[[CallerSocket], Awaitable[None]] = echo,
    limits: Limits | None = None,
    allowed_origins: list[str] | None = None,
) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_gateway, upstream=None, handle=handle, limits=limits, allowed_origins=allowed_origins)
        port = await nursery.start(serve, "127.0.0.1", 0)

        async with AsyncExitStack() as streams:

            async def connect() -> Client:
                return Client(await streams.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port)))

            with trio.fail_after(30):
                yield connect
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def caller(
    handle: Callable[[CallerSocket], Awaitable[None]] = echo, limits: Limits | None = None
) -> AsyncIterator[Client]:
    """A client whose handshake was accepted."""
    async with gateway(handle, limits) as connect:
        client = await connect()
        await client.stream.send_all(handshake())
        assert (await client.response())[0] == 101
        yield client


# ── good order ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_text_both_ways_whole_and_in_pieces() -> None:
    async with caller() as client:
        text = "grüße 📞"
        data = text.encode()
        whole = frame(TEXT, data)
        pieces = frame(TEXT, data[:5], final=False) + frame(PING, b"p") + frame(0, data[5:13], final=False)
        for byte in whole:
            await client.stream.send_all(bytes([byte]))
        assert await client.frame() == (TEXT, data)
        await client.stream.send_all(pieces + frame(0, data[13:]) + whole)
        assert sorted([await client.frame(), await client.frame(), await client.frame()]) == [
            (TEXT, data),
            (TEXT, data),
            (PONG, b"p"),
        ]
        await client.stream.send_all(frame(CLOSE, struct.pack("!H", 4000) + b"bye"))
        assert await client.close_code() == ([], 4000)


@pytest.mark.anyio
async def test_largest_message() -> None:
    async with caller() as client:
        await client.stream.send_all(frame(TEXT, b"x" * 65536))
        assert await client.frame() == (TEXT, b"x" * 65536)


@pytest.mark.anyio
async def test_frames_that_overtake_the_answer() -> None:
    async with gateway() as connect:
        client = await connect()
        await client.stream.send_all(handshake() + frame(TEXT, b"early"))
        assert (await client.response())[0] == 101
        assert await client.frame() == (TEXT, b"early")


@pytest.mark.anyio
async def test_the_socket_knows_its_visitor() -> None:
    visits: list[tuple[str, str | None, str]] = []

    async def handle(socket: CallerSocket) -> None:
        visits.append((socket.address, socket.origin, socket.path))

    async with gateway(handle) as connect:
        client = await connect()
        await client.stream.send_all(handshake(SIGNALING_PATH + "?a=b", Origin="https://Page.example"))
        assert (await client.response())[0] == 101
        assert await client.close_code() == ([], 1000)
    assert visits == [("127.0.0.1", "https://Page.example", SIGNALING_PATH)]


@pytest.mark.anyio
async def test_compression_is_never_negotiated() -> None:
    async with gateway() as connect:
        client = await connect()
        await client.stream.send_all(handshake(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
        status, head = await client.response()
        assert status == 101
        assert "extensions" not in head.lower()
        await client.stream.send_all(frame(TEXT, b"x", rsv=4))
        assert await client.close_code() == ([], 1002)


@pytest.mark.anyio
async def test_the_actor_closes() -> None:
    closed = trio.Event()

    async def handle(socket: CallerSocket) -> None:
        await socket.close(4401, "who are you")
        await socket.close(1000)
        with pytest.raises(SocketClosed):
            await socket.send("late")
        closed.set()

    async with caller(handle) as client:
        opcode, payload = await client.frame()
        assert (opcode, payload) == (CLOSE, struct.pack("!H", 4401) + b"who are you")
        await client.stream.send_all(frame(CLOSE, payload))
        assert await client.stream.receive_some() == b""
        await client.stream.aclose()
        await closed.wait()


@pytest.mark.anyio
async def test_a_crash_ends_one_caller() -> None:
    async def handle(socket: CallerSocket) -> None:
        if await socket.receive() == "crash":
            raise RuntimeError("a fault of ours")
        await socket.send("fine")

    async with gateway(handle) as connect:
        clients = [await connect(), await connect()]
        for client in clients:
            await client.stream.send_all(handshake())
            assert (await client.response())[0] == 101
        await clients[0].stream.send_all(frame(TEXT, b"crash"))
        assert await clients[0].close_code() == ([], 1011)
        await clients[1].stream.send_all(frame(TEXT, b"go on"))
        assert await clients[1].frame() == (TEXT, b"fine")


@pytest.mark.anyio
async def test_shutdown_says_going_away() -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve_gateway, upstream=None, handle=echo), "127.0.0.1", 0)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            client = Client(stream)
            await stream.send_all(handshake())
            assert (await client.response())[0] == 101
            await stream.send_all(frame(TEXT, b"x"))
            await client.frame()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert (await client.frame())[1] == struct.pack("!H", 1001)


# ── breaches ───────────────────────────────────────────────────────────────────────────────────────────────────────

BREACHES: dict[str, tuple[bytes, list[str], int]] = {
    "too large": (frame(TEXT, b"x" * 65537), ["message_too_large"], 1009),
    "too large in bytes, not in characters": (frame(TEXT, "é".encode() * 32769), ["message_too_large"], 1009),
    "a large promise": (b"\x81\xff" + struct.pack("!Q", 2**40) + b"mask", ["message_too_large"], 1009),
    "too large in pieces": (
        frame(TEXT, b"x" * 40000, final=False) + frame(0, b"x" * 40000),
        ["message_too_large"],
        1009,
    ),
    "too many fragments": (
        frame(TEXT, final=False) + frame(0, final=False) * 20000,
        ["message_too_large"],
        1009,
    ),
    "binary": (frame(BINARY, b"x"), ["unsupported_frame"], 1003),
    "not UTF-8": (frame(TEXT, b"\xff\xfe"), [], 1007),
    "not UTF-8 at the end": (frame(TEXT, "é".encode()[:1]), [], 1007),
    "surrogate in UTF-8": (frame(TEXT, b"\xed\xa0\x80"), [], 1007),
    "not UTF-8 in pieces": (frame(TEXT, b"\xc3", final=False) + frame(0, b"\xc3"), [], 1007),
    "reserved opcode": (frame(3, b"x"), [], 1002),
    "reserved control opcode": (frame(11), [], 1002),
    "RSV1": (frame(TEXT, b"x", rsv=4), [], 1002),
    "RSV3": (frame(TEXT, b"x", rsv=1), [], 1002),
    "unmasked": (frame(TEXT, b"x", mask=False), [], 1002),
    "continuation of nothing": (frame(0, b"x"), [], 1002),
    "message inside a message": (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), [], 1002),
    "ping in pieces": (frame(PING, final=False), [], 1002),
    "long ping": (frame(PING, b"x" * 126), [], 1002),
    "length in two bytes too many": (b"\x81\xfe\x00\x05mask12345", [], 1002),
    "length in eight bytes too many": (b"\x81\xff" + struct.pack("!Q", 5) + b"mask12345", [], 1002),
    "close with one byte": (frame(CLOSE, b"\x03"), [], 1002),
    "close with 1005": (frame(CLOSE, struct.pack("!H", 1005)), [], 1002),
    "close with 2999": (frame(CLOSE, struct.pack("!H", 2999)), [], 1002),
    "close with bad text": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), [], 1007),
    "ping flood": (frame(PING, b"x") * 21, [], 1008),
    "pong flood": (frame(PONG, b"x") * 21, [], 1008),
    "message flood": (frame(TEXT, b"x") * 31, ["rate_limited"], 4429),
    "handshake again": (handshake(), [], 1002),
}


@pytest.mark.parametrize(("sent", "reasons", "code"), BREACHES.values(), ids=BREACHES)
@pytest.mark.anyio
async def test_breach(sent: bytes, reasons: list[str], code: int) -> None:
    ended: list[int] = []

    async def handle(socket: CallerSocket) -> None:
        try:
            await echo(socket)
        except SocketClosed as closed:
            ended.append(closed.code)

    async with caller(handle) as client, trio.open_nursery() as nursery:
        nursery.start_soon(_send_anyway, client, sent)
        assert await client.close_code() == (reasons, code)
        nursery.cancel_scope.cancel()
    assert ended == [code]


async def _send_anyway(client: Client, data: bytes) -> None:
    """The gateway need not read what follows the breach."""
    try:
        await client.stream.send_all(data)
    except trio.BrokenResourceError:
        return


@pytest.mark.anyio
async def test_good_messages_before_a_breach_arrive() -> None:
    heard: list[str] = []

    async def handle(socket: CallerSocket) -> None:
        while True:
            heard.append(await socket.receive())

    async with caller(handle) as client:
        await client.stream.send_all(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(BINARY, b"c") + frame(TEXT, b"d"))
        assert await client.close_code() == (["unsupported_frame"], 1003)
    assert heard == ["a", "b"]


@pytest.mark.parametrize(
    "begun",
    [frame(TEXT, b"x", final=False), frame(TEXT, b"xyz")[:-1], b"\x81", frame(TEXT, b"x") + b"\x81"],
    ids=["fragment", "payload", "header", "after a message"],
)
@pytest.mark.anyio
async def test_unfinished_message(begun: bytes) -> None:
    async with caller(limits=Limits(message_seconds=0.1)) as client:
        await client.stream.send_all(begun)
        assert await client.close_code() == ([], 1008)


@pytest.mark.anyio
async def test_quiet_between_messages_is_no_breach() -> None:
    async with caller(limits=Limits(message_seconds=0.05)) as client:
        for _ in range(3):
            await client.stream.send_all(frame(TEXT, b"x", final=False) + frame(PING) + frame(0, b"y"))
            assert {await client.frame(), await client.frame()} == {(PONG, b""), (TEXT, b"xy")}
            await trio.sleep(0.1)


@pytest.mark.anyio
async def test_error_frames_name_the_session() -> None:
    async def handle(socket: CallerSocket) -> None:
        socket.session = await socket.receive()
        await socket.send("ok")
        while True:
            await socket.receive()

    async with caller(handle) as client:
        await client.stream.send_all(frame(TEXT, b"s1"))
        await client.frame()
        await client.stream.send_all(frame(TEXT, b"x") * 31)
        error = json.loads((await client.frame())[1])
        assert (error["sessionId"], error["data"]["code"]) == ("s1", "HANDLER_ERROR")
        assert 0 < error["data"]["retry_after_ms"] <= 1000


# ── callers who fall silent ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_caller_who_does_not_read_is_dropped() -> None:
    ended: list[int] = []

    async def handle(socket: CallerSocket) -> None:
        try:
            while True:
                await socket.send("x" * 60000)
        except SocketClosed as closed:
            ended.append(closed.code)

    async with caller(handle, Limits(send_seconds=0.2)):
        while not ended:
            await trio.sleep(0.01)
    assert ended == [1006]


@pytest.mark.anyio
async def test_quiet_caller_is_pinged_and_dropped_after_two_missed() -> None:
    ended: list[int] = []

    async def handle(socket: CallerSocket) -> None:
        try:
            await socket.receive()
        except SocketClosed as closed:
            ended.append(closed.code)

    async with caller(handle, Limits(ping_seconds=0.15)) as client:
        for _ in range(3):
            opcode, payload = await client.frame()
            assert opcode == PING
            await client.stream.send_all(frame(PONG, payload))
        assert [(await client.frame())[0], (await client.frame())[0]] == [PING, PING]
        assert await client.stream.receive_some() == b""
        while not ended:
            await trio.sleep(0.01)
    assert ended == [1006]


@pytest.mark.anyio
async def test_caller_who_vanishes() -> None:
    ended: list[int] = []

    async def handle(socket: CallerSocket) -> None:
        try:
            await socket.receive()
        except SocketClosed as closed:
            ended.append(closed.code)

    async with caller(handle) as client:
        await client.stream.aclose()
        while not ended:
            await trio.sleep(0.01)
    assert ended == [1006]


# ── handshakes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (handshake("/"), 404),
        (handshake(SIGNALING_PATH + "/"), 404),
        (handshake("/api/v1/webrtc/signal%2f"), 404),
        (handshake(Sec_WebSocket_Protocol="soap"), 400),
        (handshake(Sec_WebSocket_Version="8"), 426),
        (handshake(Sec_WebSocket_Key=None), 400),
        (handshake(Connection="keep-alive"), 400),
        (handshake(Content_Length="5"), 400),
        (handshake().replace(b"GET", b"POST"), 400),
        (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (handshake(Upgrade=None), 426),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000 + b"\r\n\r\n", 431),
    ],
)
@pytest.mark.anyio
async def test_refused_before_accept(request_: bytes, status: int) -> None:
    async with gateway() as connect:
        client = await connect()
        await client.stream.send_all(request_)
        got, head = await client.response()
        assert got == status
        assert "application/problem+json" in head
        assert (await client.body())["status"] == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://good.com", 101),
        ("https://GOOD.com:443", 101),
        (None, 403),
        ("null", 403),
        ("https://good.com.evil.io", 403),
        ("http://good.com", 403),
    ],
)
@pytest.mark.anyio
async def test_origin(origin: str | None, status: int) -> None:
    async with gateway(allowed_origins=["https://good.com"]) as connect:
        client = await connect()
        await client.stream.send_all(handshake(Origin=origin))
        assert (await client.response())[0] == status
        if status == 403:
            assert (await client.body())["code"] == "origin_not_allowed"


@pytest.mark.parametrize("begun", [b"", b"GET", handshake()[:-1]], ids=["nothing", "a word", "almost"])
@pytest.mark.anyio
async def test_slow_handshake(begun: bytes) -> None:
    async with gateway(limits=Limits(handshake_seconds=0.1)) as connect:
        client = await connect()
        await client.stream.send_all(begun)
        assert await client.stream.receive_some() == b""


@pytest.mark.anyio
async def test_half_open_handshakes_of_one_address() -> None:
    async with gateway(limits=Limits(half_open=3)) as connect:
        waiting = [await connect() for _ in range(3)]
        for client in waiting:
            await client.stream.send_all(b"GET ")
        await trio.sleep(0.1)
        one_more = await connect()
        assert await one_more.stream.receive_some() == b""
        await waiting[0].stream.send_all(handshake()[4:])
        assert (await waiting[0].response())[0] == 101
        again = await connect()
        await again.stream.send_all(handshake())
        assert (await again.response())[0] == 101
