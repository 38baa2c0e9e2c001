"""What strangers send to a media port does not disturb the call on it."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webrtc_caller import WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.actors.ports import PeerConnected
from offhook.services.media import AiortcEngine
from offhook.services.media.guard import MAX_SOURCES, Guard

FRIEND = ("192.0.2.1", 5000)
STRANGER = ("192.0.2.2", 6000)
RTP = bytes([0x80, 111]) + bytes(40)
DTLS = bytes([22, 0xFE, 0xFD]) + bytes(40)
STUN = bytes([0, 1, 0, 0]) + bytes(16)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def guard() -> Guard:
    found = Guard(lambda: 0.0)
    found.admit(FRIEND)
    return found


def test_who_may_pass() -> None:
    it = guard()
    assert it.lets_pass(RTP, FRIEND) and it.lets_pass(DTLS, FRIEND)
    assert it.lets_pass(STUN, FRIEND) and it.lets_pass(STUN, STRANGER)
    assert not it.lets_pass(RTP, STRANGER) and not it.lets_pass(DTLS, STRANGER)
    assert not it.lets_pass(b"", FRIEND) and not it.lets_pass(b"\x80", FRIEND) and not it.lets_pass(b"\0" * 4, FRIEND)
    assert it.dropped == 5


@given(st.binary(max_size=64))
def test_a_stranger_gets_nothing_but_stun_through(data: bytes) -> None:
    assert not guard().lets_pass(data, STRANGER) or data[0] < 4


def test_strangers_are_no_sign_of_life() -> None:
    now = 0.0
    it = Guard(lambda: now)
    it.admit(FRIEND)
    now = 5.0
    it.lets_pass(STUN, STRANGER)
    it.lets_pass(RTP, STRANGER)
    assert it.heard == 0.0
    it.lets_pass(STUN, FRIEND)
    assert it.heard == 5.0


def test_sources_are_bounded() -> None:
    it = guard()
    admitted = [it.admit(("192.0.2.3", port)) for port in range(1024, 1024 + 2 * MAX_SOURCES)]
    assert admitted.count(True) == MAX_SOURCES - 1
    assert it.admit(FRIEND)


def port_of(answer: str) -> tuple[str, int]:
    line = next(line for line in answer.split("\r\n") if line.startswith("a=candidate"))
    return line.split()[4], int(line.split()[5])


#: One of each kind of datagram a stranger may send.
NOISE = [
    b"",
    b"\0",
    bytes(20),
    STUN,
    STUN[:2] + b"\0\4" + b"\x21\x12\xa4\x42" + bytes(12) + b"\0\x24\0\1",
    RTP,
    bytes([0x80, 200]) + bytes(40),
    DTLS,
    bytes([21, 0xFE, 0xFD]) + bytes(8) + b"\0\2\1\0",
    bytes([20]) * 13,
    b"\xff" * 1400,
]


@pytest.mark.anyio
async def test_a_call_is_set_up_and_goes_on_among_noise() -> None:
    link = AudioLink()
    engine = AiortcEngine("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        async with WebRtcCaller() as caller, engine.open_peer(link, echo=False) as peer:
            answer = await peer.answer(await caller.offer())
            target = port_of(answer)

            async def disturb() -> None:
                while True:
                    for datagram in NOISE:
                        stranger.sendto(datagram, target)
                    await asyncio.sleep(0.002)

            async with asyncio.timeout(10):
                noise = asyncio.create_task(disturb())
                await asyncio.sleep(0.05)
                await caller.accept(answer)
                assert await peer.next_event() == PeerConnected()
                await caller.wait_heard(25)
                link.deafen()
                for _ in range(50):
                    await link.receive()
                noise.cancel()
            stranger.setblocking(False)
            # Nobody who cannot prove itself gets an answer: the port is no reflector.
            with pytest.raises(BlockingIOError):
                stranger.recv(2048)
