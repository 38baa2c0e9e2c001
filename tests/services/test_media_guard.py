"""What strangers send to a media port does not disturb the call on it, and is counted by kind."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hostile_datagrams import (
    ALERT,
    CHANGE_CIPHER,
    CLOSE_NOTIFY,
    DTLS,
    RTCP,
    RTP,
    check,
    error_answer,
    strangers,
    with_attribute,
)
from hypothesis import given
from hypothesis import strategies as st
from webrtc_caller import WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.actors.ports import PeerConnected, PeerLost
from offhook.services.media import AiortcEngine
from offhook.services.media.guard import (
    CHECKS_A_SECOND,
    CHECKS_AT_ONCE,
    MAX_QUEUE,
    MAX_ROLE_CONFLICTS,
    MAX_SOURCES,
    Drop,
    Guard,
)
from offhook.services.media.ice import GuardedConnection, Reach
from offhook.services.media.transport import MAX_STREAMS

USER, PASSWORD = "abcd", "p" * 22
FRIEND = ("192.0.2.1", 5000)
STRANGER = ("192.0.2.2", 6000)
SIGNED = check(f"{USER}:theirs", PASSWORD)
KINDS = strangers(USER)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def guard(clock: Callable[[], float] = lambda: 0.0) -> Guard:
    found = Guard(USER, PASSWORD, clock)
    found.admit(FRIEND)
    return found


# ── who may pass ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_are_dropped_and_counted_by_kind(kind: str) -> None:
    total: Counter[str] = Counter(empty=7)
    it = Guard(USER, PASSWORD, lambda: 0.0, total)
    datagram, expected = KINDS[kind]
    assert not it.lets_pass(datagram, STRANGER)
    assert it.dropped == {expected: 1}
    assert total == Counter(empty=7) + it.dropped


def test_the_caller_may_pass() -> None:
    it = guard()
    assert it.lets_pass(RTP, FRIEND) and it.lets_pass(DTLS, FRIEND) and it.lets_pass(SIGNED, FRIEND)
    assert not it.dropped


def test_a_signed_check_proves_its_address() -> None:
    it = Guard(USER, PASSWORD, lambda: 0.0)
    assert not it.lets_pass(RTP, FRIEND)
    assert it.lets_pass(SIGNED, FRIEND)
    assert it.lets_pass(RTP, FRIEND)
    assert not it.lets_pass(RTP, STRANGER)


def test_an_answer_passes_if_it_was_asked_for() -> None:
    it, answer = guard(), error_answer(400)
    assert not it.lets_pass(answer, FRIEND, awaited=set())
    assert it.lets_pass(answer, FRIEND, awaited={answer[8:20]})
    assert it.dropped == {Drop.STUN_UNASKED: 1}


@given(st.binary(max_size=64) | st.sampled_from([datagram for datagram, _ in KINDS.values()]), st.data())
def test_whatever_a_stranger_sends_is_dropped(datagram: bytes, data: st.DataObject) -> None:
    changed = bytearray(datagram)
    for _ in range(data.draw(st.integers(0, 4)) if changed else 0):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    it = guard()
    assert not it.lets_pass(bytes(changed), STRANGER)
    assert it.dropped.total() == 1


@given(st.data())
def test_a_signed_check_that_was_changed_is_dropped(data: st.DataObject) -> None:
    """Up to the signature; what comes after it is not protected, and not read."""
    end = SIGNED.index(b"\0\x08\0\x14") + 24
    at = data.draw(st.integers(0, end - 1).filter(lambda at: at not in range(end - 24, end - 20)))
    changed = SIGNED[:at] + bytes([SIGNED[at] ^ data.draw(st.integers(1, 255))]) + SIGNED[at + 1 :]
    assert not guard().lets_pass(changed, STRANGER)


def test_an_alert_that_anybody_can_write_is_dropped() -> None:
    it = guard()
    assert not it.lets_pass(ALERT, FRIEND) and not it.lets_pass(CLOSE_NOTIFY, FRIEND)
    assert it.dropped == {Drop.PLAIN_ALERT: 2}
    encrypted = CLOSE_NOTIFY[:3] + b"\0\1" + CLOSE_NOTIFY[5:]
    assert it.lets_pass(encrypted, FRIEND)


# ── bounds on the caller itself ────────────────────────────────────────────────────────────────────────────────────


def test_sources_are_bounded() -> None:
    it = guard()
    passed = [it.lets_pass(SIGNED, ("192.0.2.3", port)) for port in range(1024, 1024 + 2 * MAX_SOURCES)]
    assert passed.count(True) == MAX_SOURCES - 1
    assert it.dropped == {Drop.TOO_MANY_SOURCES: MAX_SOURCES + 1}
    assert it.lets_pass(SIGNED, FRIEND)


def test_signed_checks_are_answered_so_often() -> None:
    now = 0.0
    it = guard(lambda: now)
    assert sum(it.lets_pass(SIGNED, FRIEND) for _ in range(3 * CHECKS_AT_ONCE)) == CHECKS_AT_ONCE
    now = 1.0
    assert sum(it.lets_pass(SIGNED, FRIEND) for _ in range(3 * CHECKS_AT_ONCE)) == CHECKS_A_SECOND
    now = 1000.0
    assert sum(it.lets_pass(SIGNED, FRIEND) for _ in range(3 * CHECKS_AT_ONCE)) == CHECKS_AT_ONCE


def test_strangers_do_not_use_up_what_the_caller_may_send() -> None:
    it = guard()
    for datagram, _ in KINDS.values():
        for _ in range(2 * CHECKS_AT_ONCE):
            it.lets_pass(datagram, STRANGER)
    assert it.lets_pass(SIGNED, FRIEND)


def test_a_role_conflict_is_believed_a_few_times() -> None:
    it, conflict = guard(), error_answer(487)
    passed = [it.lets_pass(conflict, FRIEND, awaited={conflict[8:20]}) for _ in range(20)]
    assert passed == [True] * MAX_ROLE_CONFLICTS + [False] * (20 - MAX_ROLE_CONFLICTS)


# ── signs of life ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_strangers_are_no_sign_of_life() -> None:
    now = 0.0
    it = guard(lambda: now)
    now = 5.0
    for datagram, _ in KINDS.values():
        it.lets_pass(datagram, STRANGER)
    assert it.heard == 0.0
    it.lets_pass(SIGNED, FRIEND)
    assert it.heard == 5.0


def test_a_signed_answer_is_a_sign_of_life_and_no_other() -> None:
    now = 0.0
    it = guard(lambda: now)
    it.expect(b"n" * 12, b"theirs")
    now = 5.0
    forged = b"\1\1\0\0" + b"\x21\x12\xa4\x42" + b"n" * 12
    assert not it.lets_pass(forged, FRIEND)
    assert it.heard == 0.0 and it.dropped == {Drop.STUN_UNSIGNED: 1}
    from aioice import stun

    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, b"n" * 12)
    answer.add_message_integrity(b"theirs")
    it.lets_pass(bytes(answer), FRIEND)
    assert it.heard == 5.0


# ── on a socket ────────────────────────────────────────────────────────────────────────────────────────────────────


def port_of(answer: str) -> tuple[str, int]:
    line = next(line for line in answer.split("\r\n") if line.startswith("a=candidate"))
    return line.split()[4], int(line.split()[5])


def value_of(answer: str, name: str) -> str:
    return next(line for line in answer.split("\r\n") if line.startswith(f"a={name}:")).partition(":")[2]


@asynccontextmanager
async def ringing() -> AsyncIterator[tuple[AiortcEngine, WebRtcCaller, Any, str, socket.socket]]:
    """A call that is answered and not yet accepted, and a stranger's socket."""
    engine = AiortcEngine("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.setblocking(False)
        async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=True) as peer:
            yield engine, caller, peer, await peer.answer(await caller.offer()), stranger


async def wait_dropped(engine: AiortcEngine, count: int) -> None:
    async with asyncio.timeout(10):
        while engine.dropped.total() < count:
            await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_a_call_is_set_up_and_goes_on_among_noise() -> None:
    async with ringing() as (engine, caller, peer, answer, stranger):
        kinds = strangers(value_of(answer, "ice-ufrag"))
        rounds = 0

        async def disturb() -> None:
            nonlocal rounds
            while True:
                for datagram, _ in kinds.values():
                    stranger.sendto(datagram, port_of(answer))
                rounds += 1
                await asyncio.sleep(0.005)

        async with asyncio.timeout(20):
            noise = asyncio.create_task(disturb())
            await asyncio.sleep(0.05)
            await caller.accept(answer)
            assert await peer.next_event() == PeerConnected()
            await caller.wait_heard(50, timeout=15)
            noise.cancel()
        await wait_dropped(engine, rounds * len(kinds))
        expected: Counter[str] = Counter()
        for _, drop in kinds.values():
            expected[drop] += rounds
        # On a slow machine a check is asked twice, and the second answer of an honest caller is one too many.
        assert engine.dropped.pop(Drop.STUN_UNASKED) >= expected.pop(Drop.STUN_UNASKED)
        assert engine.dropped == expected
        # Nobody who cannot prove itself gets an answer: the port is no reflector.
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)


@pytest.mark.anyio
@pytest.mark.parametrize("record", [ALERT, CLOSE_NOTIFY], ids=["alert", "close_notify"])
async def test_the_callers_address_on_a_forged_alert_ends_no_handshake(record: bytes) -> None:
    async with ringing() as (engine, caller, peer, answer, _):
        gate = peer._path._ice._protocols[0].transport.get_protocol()
        admit = peer._path._ice.guard.admit

        def forge(source: tuple[str, int]) -> bool:
            """With the caller's first check, and each one after it."""
            admitted: bool = admit(source)
            gate.datagram_received(record, source)
            return admitted

        peer._path._ice.guard.admit = forge
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        assert engine.dropped[Drop.PLAIN_ALERT] > 0


@pytest.mark.anyio
async def test_forged_records_after_the_handshake_end_no_call() -> None:
    async with ringing() as (_, caller, peer, answer, _):
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        gate = peer._path._ice._protocols[0].transport.get_protocol()
        for record in (ALERT, CLOSE_NOTIFY, CHANGE_CIPHER, DTLS, RTP, b"", b"\x16" * 1400):
            for _ in range(20):
                gate.datagram_received(record, caller.socket_address)
        await caller.wait_heard(len(caller.heard) + 25)


@pytest.mark.anyio
async def test_forged_media_keeps_no_call_alive() -> None:
    async with ringing() as (_, caller, peer, answer, _):
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        gate = peer._path._ice._protocols[0].transport.get_protocol()
        source = caller.socket_address
        caller.vanish()

        async def forge() -> None:
            while True:
                for datagram in (RTP, RTCP, DTLS):
                    gate.datagram_received(datagram, source)
                await asyncio.sleep(0.02)

        forging = asyncio.create_task(forge())
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerLost()
        forging.cancel()


@pytest.mark.anyio
async def test_what_the_caller_sent_before_counts_once() -> None:
    """Replayed and damaged packets, from the caller's own address."""
    async with ringing() as (engine, caller, peer, answer, _):
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        sent = caller.note_sent()
        await caller.wait_heard(10)
        gate = peer._path._ice._protocols[0].transport.get_protocol()
        media = [datagram for datagram in sent if 128 <= datagram[0] < 192][:5]
        assert media
        before = engine.dropped[Drop.SRTP_REFUSED]
        for datagram in media:
            gate.datagram_received(datagram, caller.socket_address)
            gate.datagram_received(datagram[:-1] + bytes([datagram[-1] ^ 1]), caller.socket_address)
            gate.datagram_received(datagram[:13], caller.socket_address)
        assert engine.dropped[Drop.SRTP_REFUSED] - before == 3 * len(media)
        await caller.wait_heard(len(caller.heard) + 25)


@pytest.mark.anyio
async def test_an_odd_caller_is_put_up_with() -> None:
    """Authentic packets that lie or make no sense: counted where they cannot be read, and the call goes on."""
    async with ringing() as (engine, caller, peer, answer, _):
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        await caller.wait_heard(5)
        opus = int(next(line for line in answer.split("\r\n") if line.endswith(" opus/48000/2")).split()[0][9:])
        head = bytes([0x80, opus, 0, 7]) + bytes(4) + b"odd1"
        padding_lies = bytes([0xA0]) + head[1:] + bytes(19) + b"\xff"
        no_padding = bytes([0xA0]) + head[1:] + bytes(20)
        unreadable = [padding_lies, no_padding]
        readable = [
            head,
            head + b"\xff" * 900,
            bytes([0x8F]) + head[1:] + bytes(60) + b"\x48junk",
            head[:1] + bytes([opus ^ 1]) + head[2:] + b"\x48junk",
            head[:2] + b"\x7f\xff" + head[4:] + b"\x48junk",
            head[:2] + b"\xff\xff\xff\xff\xff\xf0odd1" + b"\x4b\xc2\xff\xff\xff",
        ]
        reports = [
            b"\x81\xcb\0\1odd1",
            b"\x9f\xc8\0\6odd1" + bytes(20),
            b"\x80\xc9\xff\xffodd1",
            b"\xbf\xca\0\1odd1",
            b"\x80\xcf\0\1odd1",
        ]
        for number, packet in enumerate((*unreadable, *readable)):
            # Numbers of their own, or they would pass for replayed.
            await caller.send_packet(packet[:3] + bytes([number]) + packet[4:])
        for packet in reports:
            await caller.send_packet(packet)
        async with asyncio.timeout(10):
            while engine.dropped[Drop.RTP_MALFORMED] < len(unreadable) or not engine.dropped[Drop.RTCP_MALFORMED]:
                await asyncio.sleep(0.01)
        await caller.wait_heard(len(caller.heard) + 50)


def payload_type(answer: str) -> int:
    """Of Opus."""
    return int(next(line for line in answer.split("\r\n") if line.endswith(" opus/48000/2")).split()[0][9:])


@pytest.mark.anyio
async def test_what_was_not_agreed_is_dropped_and_counted() -> None:
    async with ringing() as (engine, caller, peer, answer, _):
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        for number in range(5):
            await caller.send_packet(bytes([0x80, payload_type(answer) ^ 1, 0, number]) + bytes(4) + b"odd1" + b"sound")
        await wait_dropped(engine, 5)
        assert engine.dropped == {Drop.RTP_UNKNOWN_TYPE: 5}


@pytest.mark.anyio
async def test_a_caller_with_many_sources_costs_no_more_than_one_with_a_few() -> None:
    async with ringing() as (engine, caller, peer, answer, _):
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        async with asyncio.timeout(10):
            while not (quality := peer.quality()) or not quality.received:
                await asyncio.sleep(0.01)
        for number in range(500):
            source = number.to_bytes(4, "big")
            await caller.send_packet(bytes([0x80, payload_type(answer), 0, 7]) + bytes(4) + source + b"\xf8\xff\xfe")
            await caller.send_packet(b"\x80\xc9\0\1" + source)
            # So that the other end comes to read.
            await asyncio.sleep(0)
        # The caller's own source is one of those that are taken.
        await wait_dropped(engine, 1000 - (MAX_STREAMS - 1) * 2)
        assert engine.dropped[Drop.TOO_MANY_STREAMS] == engine.dropped.total()
        assert len(peer._path._streams) == MAX_STREAMS
        # And it is heard as before.
        received = peer.quality().received
        await caller.wait_heard(len(caller.heard) + 50)
        assert peer.quality().received > received


@pytest.mark.anyio
async def test_a_caller_with_many_ports_gets_so_many_answers() -> None:
    async with ringing() as (engine, caller, peer, answer, _):
        await caller.accept(answer)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()
        signed = check(f"{value_of(answer, 'ice-ufrag')}:{caller.user}", value_of(answer, "ice-pwd"))
        ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2 * MAX_SOURCES)]
        try:
            for end in ends:
                end.setblocking(False)
                end.sendto(signed, port_of(answer))
            await wait_dropped(engine, MAX_SOURCES + 1)
            assert engine.dropped == {Drop.TOO_MANY_SOURCES: MAX_SOURCES + 1}
            assert len(peer._path._ice.remote_candidates) <= MAX_SOURCES
            await caller.wait_heard(len(caller.heard) + 10)
        finally:
            for end in ends:
                end.close()


@pytest.mark.anyio
async def test_a_signed_check_with_a_demand_is_not_answered() -> None:
    async with ringing() as (engine, _, _, answer, stranger):
        bare = with_attribute(check(f"{value_of(answer, 'ice-ufrag')}:x"), 0x7FFF, b"demand!!")
        stranger.sendto(bare, port_of(answer))
        await wait_dropped(engine, 1)
        assert engine.dropped == {Drop.STUN_UNKNOWN_DEMAND: 1}


@pytest.mark.anyio
async def test_what_nobody_reads_does_not_pile_up() -> None:
    connection = GuardedConnection(Reach(["127.0.0.1"]), lambda _: None)
    for _ in range(MAX_QUEUE + 5):
        connection.data_received(RTP, 1)
    assert connection.guard.dropped == {Drop.QUEUE_FULL: 5}
    await connection.close()
