"""Calls between a real WebRTC caller and the engine, over loopback."""

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from aiortc.rtp import RtpPacket
from webrtc_caller import RATE, WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.actors.ports import MediaPeer, PeerClosed, PeerConnected, PeerFailed, PeerLost
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.messages import AddCandidate
from offhook.protocol.speech import EAR_FRAME, EAR_RATE, MOUTH_RATE
from offhook.protocol.telephone_event import Digits
from offhook.services.media import AiortcEngine
from offhook.services.media import engine as engine_module
from offhook.services.media import peer as peer_module

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    # The loop the product runs on; the guard's tests run on asyncio's own.
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def engine() -> AiortcEngine:
    return AiortcEngine("127.0.0.1")


def tone(frequency: float, seconds: float, rate: int) -> bytes:
    time = np.arange(int(seconds * rate)) / rate
    return bytes((8000 * np.sin(2 * np.pi * frequency * time)).astype("<i2").tobytes())


def loudest(pcm: bytes, rate: int) -> float:
    """The strongest frequency, Hz."""
    samples = np.frombuffer(pcm, "<i2")
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def level(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.square(np.frombuffer(pcm, "<i2").astype(float)))))


@asynccontextmanager
async def call(
    engine: AiortcEngine, link: AudioLink, *, echo: bool = False
) -> AsyncIterator[tuple[WebRtcCaller, MediaPeer]]:
    async with WebRtcCaller() as caller, engine.open_peer(link, echo=echo) as peer:
        await caller.accept(await peer.answer(await caller.offer()))
        async with asyncio.timeout(5):
            assert await peer.next_event() == PeerConnected()
        yield caller, peer


async def listen(link: AudioLink, seconds: float) -> bytes:
    heard = b""
    async with asyncio.timeout(5 + seconds):
        while len(heard) < seconds * EAR_RATE * 2:
            frame = await link.receive()
            assert len(frame) == EAR_FRAME
            heard += frame
    return heard


async def test_audio_goes_both_ways(engine: AiortcEngine) -> None:
    link = AudioLink()
    async with call(engine, link) as (caller, _):
        caller.say(tone(700, 3, EAR_RATE))
        await link.play(tone(440, 3, MOUTH_RATE))
        assert loudest((await listen(link, 1.5))[-EAR_RATE:], EAR_RATE) == pytest.approx(700, abs=5)
        await caller.wait_heard(75)
        assert loudest(caller.heard_pcm()[-RATE:], RATE) == pytest.approx(440, abs=5)
        assert link.played > MOUTH_RATE


async def test_the_server_offers_and_audio_goes_both_ways(engine: AiortcEngine) -> None:
    """Covers S2: ours is the offer, ours the controlling side of ICE."""
    link = AudioLink()
    async with WebRtcCaller() as caller, engine.open_peer(link, echo=False) as peer:
        offer = await peer.offer()
        with pytest.raises(Refusal) as refused:
            await peer.take_answer(offer)
        assert refused.value.reason is Reason.SDP_INVALID
        answer = await caller.answer(offer)
        await peer.take_answer(answer)
        await peer.take_answer(answer)
        async with asyncio.timeout(5):
            assert await peer.next_event() == PeerConnected()
        caller.say(tone(700, 3, EAR_RATE))
        await link.play(tone(440, 3, MOUTH_RATE))
        assert loudest((await listen(link, 1.5))[-EAR_RATE:], EAR_RATE) == pytest.approx(700, abs=5)
        await caller.wait_heard(75)
        assert loudest(caller.heard_pcm()[-RATE:], RATE) == pytest.approx(440, abs=5)
        with pytest.raises(Refusal) as again:
            await peer.offer()
        assert again.value.reason is Reason.USE_REATTACH
        await caller.close()
        async with asyncio.timeout(3):
            assert await peer.next_event() == PeerClosed()


async def test_frames_come_at_an_even_pace_and_go_on_in_silence(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (caller, _):
        await caller.wait_heard(5)
        first = len(caller.heard)
        await asyncio.sleep(1.0)
        # 50 frames a second; a busy machine may deliver some of them late, but none is invented.
        assert 30 <= len(caller.heard) - first <= 60
        assert level(caller.heard_pcm()) < 10


async def test_echo_comes_back(engine: AiortcEngine) -> None:
    link = AudioLink()
    async with call(engine, link, echo=True) as (caller, _):
        caller.say(tone(600, 3, EAR_RATE))
        await caller.wait_heard(100)
        assert loudest(caller.heard_pcm()[-RATE:], RATE) == pytest.approx(600, abs=5)
        assert not link._ear


async def test_hold_plays_music_and_keeps_the_caller_unheard(engine: AiortcEngine) -> None:
    link = AudioLink()
    async with call(engine, link) as (caller, peer):
        caller.say(tone(700, 8, EAR_RATE))
        await listen(link, 0.2)
        peer.hold()
        await link.play(tone(440, 1, MOUTH_RATE))
        link.deafen()
        played = link.played
        before = len(caller.heard)
        await caller.wait_heard(before + 75)
        assert not link._ear
        assert link.played == played
        music = b"".join(pcm for _, pcm in caller.heard[before + 20 :])
        assert level(music) > 100
        assert loudest(music, RATE) != pytest.approx(440, abs=1)
        peer.resume()
        assert loudest((await listen(link, 1))[-EAR_RATE:], EAR_RATE) == pytest.approx(700, abs=5)
        assert link.played > played


async def test_a_call_may_be_on_hold_before_it_is_answered(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        peer.hold()
        await caller.accept(await peer.answer(await caller.offer()))
        await caller.wait_heard(50)
        assert level(caller.heard_pcm()) > 50


class KeyedCaller(WebRtcCaller):
    """A caller that takes telephone-events, and keeps the packets it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[RtpPacket] = []
        self._pc.on("track", self._watch)

    async def offer(self) -> str:
        offer = re.sub(r"(m=audio [^\r]*)", r"\1 110", await super().offer())
        return offer.replace("a=rtpmap:0 ", "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:0 ", 1)

    def _watch(self, _track: object) -> None:
        transport = self._pc.getTransceivers()[0].receiver.transport
        take = transport._handle_rtp_data

        async def keep(data: bytes, arrival_time_ms: int) -> None:
            self.packets.append(RtpPacket.parse(data))
            await take(data, arrival_time_ms)

        transport._handle_rtp_data = keep  # type: ignore[method-assign]


async def test_keys_are_dialed_to_the_other_side(engine: AiortcEngine) -> None:
    """Covers H3 on the media side: aiortc's own SRTP and RTP read what we send."""
    async with KeyedCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        assert not peer.dial("1")
        await caller.accept(await peer.answer(await caller.offer()))
        await caller.wait_heard(5)
        assert peer.dial("12")
        with pytest.raises(ValueError, match="'x'"):
            peer.dial("x")
        await caller.wait_heard(55)
    digits = Digits()
    keys = [packet for packet in caller.packets if packet.payload_type == 110]
    assert [key for packet in keys if (key := digits.put(packet.timestamp, packet.payload))] == ["1", "2"]
    assert [packet.marker for packet in keys] == [1, *[0] * 7] * 2
    numbers = [packet.sequence_number for packet in caller.packets]
    assert [(after - before) % 2**16 for before, after in pairwise(numbers)] == [1] * (len(numbers) - 1)
    # Sound goes on where it stopped, at the time it is then.
    sound = [packet.timestamp for packet in caller.packets if packet.payload_type != 110]
    gaps = [(after - before) % 2**32 // 960 for before, after in pairwise(sound)]
    assert sum(gap >= 9 for gap in gaps) >= 2


async def test_a_caller_who_takes_no_keys_gets_none(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (_, peer):
        assert not peer.dial("1")


async def test_the_caller_hangs_up(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (caller, peer):
        await caller.close()
        async with asyncio.timeout(3):
            assert await peer.next_event() == PeerClosed()


async def test_the_server_hangs_up(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller:
        async with engine.open_peer(AudioLink(), echo=False) as peer:
            await caller.accept(await peer.answer(await caller.offer()))
            await caller.wait_connected()
        async with asyncio.timeout(3):
            while caller.state != "closed":
                await asyncio.sleep(0.01)


async def test_a_caller_that_vanishes_is_lost(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (caller, peer):
        caller.vanish()
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerLost()


async def test_a_caller_that_comes_back_is_found(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (caller, peer):
        caller.mute_network(True)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerLost()
        caller.mute_network(False)
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerConnected()


async def test_a_caller_that_keeps_quiet_is_asked_and_stays(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (caller, peer):
        caller.keep_quiet()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await peer.next_event()
        caller.vanish()
        async with asyncio.timeout(10):
            assert await peer.next_event() == PeerLost()


async def test_a_process_that_stands_still_loses_nobody(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (_, peer):
        for _ in range(3):
            time.sleep(1.7)  # everything stands still, as on a machine that swaps
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await peer.next_event()


async def test_a_caller_that_never_comes_times_out(engine: AiortcEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "SETUP_TIMEOUT", 0.3)
    async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        await peer.answer(await caller.offer())
        async with asyncio.timeout(3):
            event = await peer.next_event()
        assert isinstance(event, PeerFailed) and event.reason == "media_timeout" and event.message


async def test_another_certificate_than_announced_fails(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        offer = await caller.offer()
        other = f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}"
        forged = re.sub("a=fingerprint:.*", other, offer)
        await caller.accept(await peer.answer(forged))
        async with asyncio.timeout(5):
            event = await peer.next_event()
        assert isinstance(event, PeerFailed) and event.reason == "dtls_fingerprint_mismatch"


async def test_trickled_candidates_connect(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        lines = (await caller.offer()).split("\r\n")
        candidates = [line for line in lines if line.startswith("a=candidate")]
        assert candidates
        bare = [line for line in lines if not line.startswith(("a=candidate", "a=end-of"))]
        answer = await peer.answer("\r\n".join(bare))
        await peer.add_candidate(AddCandidate("candidate:nonsense", sdp_mid="0"))
        await peer.add_candidate(AddCandidate(candidates[0].removeprefix("a="), sdp_mid="7"))
        await peer.add_candidate(AddCandidate(candidates[0].removeprefix("a="), sdp_mid="0"))
        await peer.add_candidate(AddCandidate("", sdp_mid="0"))
        await peer.add_candidate(AddCandidate("", sdp_mid=None))
        await caller.accept(answer)
        async with asyncio.timeout(5):
            assert await peer.next_event() == PeerConnected()


async def test_candidates_are_bounded(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        await peer.answer(await caller.offer())
        for port in range(2000, 2100):
            await peer.add_candidate(AddCandidate(f"candidate:1 1 udp 1 127.0.0.1 {port} typ host", sdp_mid="0"))
        path = peer._path  # the port does not tell
        assert path is not None and len(path._ice.remote_candidates) <= 11


async def test_a_refused_offer_may_be_followed_by_a_good_one(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        with pytest.raises(Refusal) as caught:
            await peer.answer("nonsense")
        assert caught.value.reason is Reason.SDP_INVALID
        await caller.accept(await peer.answer(await caller.offer()))
        await caller.wait_connected()


async def test_a_second_offer_is_refused(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller, engine.open_peer(AudioLink(), echo=False) as peer:
        offer = await caller.offer()
        await peer.answer(offer)
        with pytest.raises(Refusal) as caught:
            await peer.answer(offer)
        assert caught.value.reason is Reason.USE_REATTACH


async def test_extra_sections_are_answered_with_port_zero(engine: AiortcEngine) -> None:
    offer = (Path(__file__).parent.parent / "protocol/offers/chromium_all.sdp").read_bytes().decode()
    async with engine.open_peer(AudioLink(), echo=False) as peer:
        answer = await peer.answer(offer)
    heads = [line.split()[:2] for line in answer.split("\r\n") if line.startswith("m=")]
    assert heads == [["m=audio", "9"], ["m=video", "0"], ["m=application", "0"]]
    assert "a=group:BUNDLE 0\r\n" in answer
    assert answer.count("opus/48000/2") == 1


async def test_the_bodys_error_leaves_as_it_came(engine: AiortcEngine) -> None:
    with pytest.raises(LookupError):
        async with engine.open_peer(AudioLink(), echo=False):
            raise LookupError


async def test_an_address_outside_this_machine_is_offered_as_it_is() -> None:
    async with WebRtcCaller() as caller, AiortcEngine("203.0.113.9").open_peer(AudioLink(), echo=False) as peer:
        answer = await peer.answer(await caller.offer())
        lines = [line for line in answer.split("\r\n") if line.startswith("a=candidate")]
        assert len(lines) == 1 and " 203.0.113.9 " in lines[0]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts file descriptors under /proc")
async def test_twenty_calls_leave_nothing_behind(engine: AiortcEngine) -> None:
    async def one() -> None:
        async with call(engine, AudioLink()) as (caller, _):
            await caller.wait_heard(1)

    # The caller's own library encodes in the loop's thread pool, which first grows to its bound.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await one()
    await asyncio.sleep(0.1)
    before = threading.active_count(), len(asyncio.all_tasks()), open_files()
    for _ in range(20):
        await one()
    await asyncio.sleep(0.1)
    after = threading.active_count(), len(asyncio.all_tasks()), open_files()
    assert all(left <= held for left, held in zip(after, before, strict=True)), (before, after)


async def test_a_silent_microphone_is_known(engine: AiortcEngine) -> None:
    async with call(engine, AudioLink()) as (caller, peer):
        await caller.wait_heard(30)
        quality = peer.quality()
    assert quality is not None and quality.received > 10
    assert quality.is_silent and quality.loudest == -127


async def test_leaving_does_not_wait_for_a_peer_that_is_gone(engine: AiortcEngine) -> None:
    async with WebRtcCaller() as caller, asyncio.timeout(5), engine.open_peer(AudioLink(), echo=False) as peer:
        await caller.accept(await peer.answer(await caller.offer()))
        await caller.wait_connected()
        caller.vanish()


async def test_a_call_knows_how_its_audio_fared(engine: AiortcEngine) -> None:
    link = AudioLink()
    async with call(engine, link) as (caller, peer):
        caller.say(tone(700, 4, EAR_RATE))
        await listen(link, 2)
        async with asyncio.timeout(15):
            # The caller reports each second or so, and knows our clock only after our first report.
            while (quality := peer.quality()) is None or quality.round_trip is None:
                await asyncio.sleep(0.05)
        assert quality.received > 90 and quality.sent > 90
        assert quality.heard == pytest.approx(quality.received * 0.02, abs=0.2)
        assert quality.lost <= 1 and quality.concealed < 0.2
        assert 0 <= quality.round_trip < 5 and 0 <= quality.jitter < 1
        assert quality.mos is not None and quality.mos > 1
        # A sine of this height has 15.2 dB less than the loudest square there is (RFC 6464 3).
        assert quality.loudest == pytest.approx(-15, abs=1)
        before = quality.heard
        # What was heard before a hold still counts after it.
        peer.hold()
        held = peer.quality()
        assert held is not None and held.heard >= before


async def test_how_a_call_fares_is_noted_now_and_then_and_at_its_end(
    engine: AiortcEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MEASURE_EVERY", 0.05)

    def noted() -> int:
        return sum(engine.qualities.jitter.counts)

    async with call(engine, AudioLink()):
        async with asyncio.timeout(10):
            while noted() < 2:
                await asyncio.sleep(0.01)
        monkeypatch.setattr(engine_module, "MEASURE_EVERY", 3600.0)
        # The sleep that has begun may still end.
        await asyncio.sleep(0.1)
        during = noted()
    assert noted() == during + 1
