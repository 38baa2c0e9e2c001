"""A voice node behind a NAT asks a STUN server for its outer address, and offers that, too (G9)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aioice import stun
from webrtc_caller import WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.actors.ports import PeerConnected
from offhook.services.media import AiortcEngine
from offhook.services.media import engine as engine_module

pytestmark = pytest.mark.anyio

OUTER = ("198.51.100.9", 40_000)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class StunServer(asyncio.DatagramProtocol):
    """Tells everybody an address: ``OUTER``, or the true one, or nothing, or an error."""

    def __init__(self, tells: str) -> None:
        self._tells = tells
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        question = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, question.transaction_id)
        match self._tells:
            case "nothing":
                return
            case "error":
                answer.message_class = stun.Class.ERROR
                answer.attributes["ERROR-CODE"] = (500, "Server Error")
            case "outer":
                answer.attributes["XOR-MAPPED-ADDRESS"] = OUTER
            case "true":
                answer.attributes["XOR-MAPPED-ADDRESS"] = addr
        self._transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def stun_server(tells: str) -> AsyncIterator[tuple[StunServer, tuple[str, int]]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: StunServer(tells), local_addr=("127.0.0.1", 0))
    yield server, transport.get_extra_info("sockname")
    transport.close()


def candidates(answer: str) -> list[str]:
    return [line for line in answer.split("\r\n") if line.startswith("a=candidate")]


@pytest.mark.parametrize("tells", ["outer", "true", "nothing", "error"])
async def test_the_answer_holds_the_outer_address_if_there_is_one(tells: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # This machine may have no other address than loopback.
    monkeypatch.setattr(engine_module, "offered_addresses", lambda _: ["127.0.0.1"])
    async with stun_server(tells) as (server, address), WebRtcCaller() as caller:
        engine = AiortcEngine(stun=address)
        async with engine.open_peer(AudioLink(), echo=True) as peer:
            answer = await peer.answer(await caller.offer())
            host, *outer = candidates(answer)
            port = host.split()[5]
            if tells == "outer":
                (line,) = outer
                assert line.split()[4:] == [
                    OUTER[0],
                    str(OUTER[1]),
                    "typ",
                    "srflx",
                    "raddr",
                    "127.0.0.1",
                    "rport",
                    port,
                ]
            else:
                assert outer == []
            assert server.asked == 1
            await caller.accept(answer)
            async with asyncio.timeout(10):
                assert await peer.next_event() == PeerConnected()


async def test_a_node_whose_address_is_set_asks_nobody() -> None:
    async with stun_server("outer") as (server, address), WebRtcCaller() as caller:
        async with AiortcEngine("127.0.0.1", stun=address).open_peer(AudioLink(), echo=True) as peer:
            answer = await peer.answer(await caller.offer())
        assert len(candidates(answer)) == 1 and server.asked == 0


@pytest.mark.parametrize(("configured", "allowed"), [(None, False), ("10.0.0.5", True), ("8.8.4.4", False)])
async def test_private_candidates_are_used_only_where_a_private_address_is_configured(
    configured: str | None, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine in a private network has such an address of its own; that is no reason to look around there."""
    monkeypatch.setattr(engine_module, "offered_addresses", lambda address: [address or "10.0.0.5"])
    async with AiortcEngine(configured).open_peer(AudioLink(), echo=True) as peer:
        assert peer._allow == {"allow_loopback": False, "allow_private": allowed}
