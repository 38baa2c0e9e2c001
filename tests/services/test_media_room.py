"""Legs that are joined: packets passed on, sound mixed, by table (covers the media side of H2 and H3)."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from webrtc_caller import RATE, WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.protocol.conference import HEARS, Part, RoomFull
from offhook.protocol.rtp import TICKS
from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE
from offhook.services.media import AiortcEngine
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.mixing import mix
from offhook.services.media.peer import AiortcPeer
from offhook.services.media.room import Line, Room

pytestmark = pytest.mark.anyio

#: What each party sings, Hz.
VOICES = {Part.VISITOR: 500, Part.AGENT: 800, Part.LISTENER: 1250, Part.WHISPERER: 1900}
FRAMES = st.lists(st.integers(-32_768, 32_767), min_size=8, max_size=8).map(
    lambda samples: np.array(samples, "<i2").tobytes()
)


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"use_uvloop": True}


def tone(frequency: float, seconds: float, rate: int) -> bytes:
    at = np.arange(int(seconds * rate)) / rate
    return bytes((6000 * np.sin(2 * np.pi * frequency * at)).astype("<i2").tobytes())


def share(pcm: bytes, frequency: float, rate: int) -> float:
    """Part of the energy within 10 Hz of a frequency."""
    sound = np.frombuffer(pcm, "<i2").astype(float)
    power = np.abs(np.fft.rfft(sound)) ** 2
    middle, width = round(frequency * len(sound) / rate), max(1, round(10 * len(sound) / rate))
    return float(power[middle - width : middle + width + 1].sum() / (power.sum() + 1e-9))


# ── the sum ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(FRAMES, min_size=1, max_size=4))
def test_a_mix_is_the_sum_of_its_samples_cut_off_at_16_bits(frames: list[bytes]) -> None:
    mixed = np.frombuffer(mix(frames), "<i2")
    for at in range(8):
        total = sum(int(np.frombuffer(frame, "<i2")[at]) for frame in frames)
        assert mixed[at] == max(-32_768, min(32_767, total))


@given(st.lists(FRAMES, min_size=1, max_size=4), st.randoms())
def test_the_order_does_not_matter_and_silence_adds_nothing(frames: list[bytes], chance: random.Random) -> None:
    mixed = mix(frames)
    others = [*frames, bytes(16)]
    chance.shuffle(others)
    assert mix(others) == mixed


# ── a room without a network ───────────────────────────────────────────────────────────────────────────────────────


class Leg:
    """What a leg gets: packets and sound."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.packets: list[tuple[int, bytes]] = []
        self.sound = b""
        line.relay = lambda _source, _marker, sequence, _time, payload: self.packets.append((sequence, payload))


def sing(room: Room, legs: dict[Part, Leg], frames: int, *, said: dict[Part, list[bytes]] | None = None) -> None:
    """Each party sings for so many frames; one that takes no packets sends sound."""
    encoders = {part: OpusEncoder(MOUTH_RATE) for part in legs}
    for number in range(frames):
        for part, leg in legs.items():
            frame = tone(VOICES[part], frames / 50, MOUTH_RATE)[number * MOUTH_FRAME : (number + 1) * MOUTH_FRAME]
            if leg.line.takes_packets:
                payload = encoders[part].encode(frame)
                leg.line.packet(7, number == 0, number, number * TICKS, payload)
                if said is not None:
                    said.setdefault(part, []).append(payload)
            else:
                leg.line.say(frame)
        room.tick()
        for leg in legs.values():
            leg.sound += leg.line.take() or b""


def followers(line: Line) -> list[Line]:
    """Those who get a party's packets as they are."""
    return list(line.followers)


def mixed(*lines: Line) -> list[bool]:
    """Whether somebody hears each of them mixed."""
    return [line.is_mixed for line in lines]


def test_two_are_bridged_by_passing_their_packets_on_untouched() -> None:
    room, said = Room(), dict[Part, list[bytes]]()
    with room.join(Part.VISITOR) as visitor, room.join(Part.AGENT) as agent:
        legs = {Part.VISITOR: Leg(visitor), Part.AGENT: Leg(agent)}
        sing(room, legs, 20, said=said)
        assert legs[Part.VISITOR].packets == list(enumerate(said[Part.AGENT]))
        assert legs[Part.AGENT].packets == list(enumerate(said[Part.VISITOR]))
        assert not any(leg.sound for leg in legs.values())
        assert visitor._hearing is None and agent._hearing is None, "something was decoded"


def test_who_takes_no_packets_gets_sound_and_the_other_side_too() -> None:
    """A leg without Opus: what it hears is decoded, what it says is to be encoded."""
    room = Room()
    with room.join(Part.VISITOR) as visitor, room.join(Part.AGENT, takes_packets=False) as agent:
        legs = {Part.VISITOR: Leg(visitor), Part.AGENT: Leg(agent)}
        sing(room, legs, 50)
        assert not legs[Part.AGENT].packets
        assert share(legs[Part.AGENT].sound[MOUTH_RATE // 2 :], VOICES[Part.VISITOR], MOUTH_RATE) > 0.5


def test_a_place_is_free_again_and_what_it_needed_is_let_go() -> None:
    room = Room()
    with room.join(Part.VISITOR) as visitor, room.join(Part.AGENT) as agent:
        with room.join(Part.LISTENER), room.join(Part.LISTENER):
            assert mixed(visitor, agent) == [True, True]
            with pytest.raises(RoomFull), room.join(Part.WHISPERER):
                pass
        assert mixed(visitor, agent) == [False, False]
        assert (followers(visitor), followers(agent)) == ([agent], [visitor])


def test_who_takes_over_is_heard_and_who_leaves_is_not() -> None:
    room = Room()
    with room.join(Part.VISITOR) as visitor, room.join(Part.AGENT) as agent, room.join(Part.WHISPERER) as boss:
        assert (followers(visitor), followers(agent)) == ([], [visitor])
        room.move(boss, Part.AGENT)
        room.move(agent, Part.LISTENER)
        assert (followers(boss), followers(agent)) == ([visitor], [])


def test_of_a_mix_that_is_over_nothing_is_heard() -> None:
    room = Room()
    with room.join(Part.VISITOR), room.join(Part.AGENT) as agent:
        with room.join(Part.WHISPERER) as boss:
            boss.say(tone(VOICES[Part.WHISPERER], 0.02, MOUTH_RATE))
            room.tick()
            room.tick()
            assert agent.take() is not None
        # One of the two frames still waited when the third party left.
        assert agent.take() is None


def test_nothing_grows_in_a_room_where_nobody_takes() -> None:
    room = Room()
    with ExitStack() as stack:
        lines = [stack.enter_context(room.join(part, takes_packets=False)) for part in Part]
        for _ in range(1000):
            for line in lines:
                line.say(bytes(MOUTH_FRAME))
            room.tick()
        assert all(len(line._to_hear) <= 5 and len(line._said) <= 5 for line in lines)


# ── real legs ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RealLeg(NamedTuple):
    """A party with everything it needs."""

    line: Line
    caller: WebRtcCaller
    peer: AiortcPeer


@asynccontextmanager
async def meeting(engine: AiortcEngine, *parts: Part) -> AsyncIterator[tuple[Room, dict[Part, RealLeg]]]:
    """Real callers whose connections are joined in a room; each has begun to sing."""
    async with AsyncExitStack() as stack:
        room = await stack.enter_async_context(engine.open_room())
        legs = {}
        for part in parts:
            line = stack.enter_context(room.join(part))
            caller = await stack.enter_async_context(WebRtcCaller())
            peer = await stack.enter_async_context(engine.open_peer(line, echo=False))
            await caller.accept(await peer.answer(await caller.offer()))
            await caller.wait_connected()
            legs[part] = RealLeg(line, caller, peer)
        for part, leg in legs.items():
            leg.caller.say(tone(VOICES[part], 12, RATE), RATE)
        yield room, legs


async def heard_by(leg: RealLeg, seconds: float = 1.5) -> set[int]:
    """The voices that a party hears from now on, after what is under way."""
    begin = len(leg.caller.heard) + 40
    await leg.caller.wait_heard(begin + int(seconds * 50), timeout=20)
    sound = b"".join(pcm for _, pcm in leg.caller.heard[begin:])
    return {voice for voice in VOICES.values() if share(sound, voice, RATE) > 0.1}


def voices_for(part: Part, parts: tuple[Part, ...]) -> set[int]:
    """What the table says that a party hears."""
    return {VOICES[other] for other in parts if other is not part and other in HEARS[part]}


async def test_two_real_legs_talk_without_a_codec() -> None:
    parts = (Part.VISITOR, Part.AGENT)
    async with meeting(AiortcEngine("127.0.0.1"), *parts) as (_, legs):
        for part in parts:
            assert await heard_by(legs[part]) == voices_for(part, parts)
        for leg in legs.values():
            audio = leg.peer._audio
            assert audio is not None and audio._hearing is None and leg.line._hearing is None, "something was decoded"


async def test_four_real_legs_hear_what_the_table_says() -> None:
    """Listening in and whispering: the visitor hears neither, the agent hears the one and not the other."""
    parts = tuple(Part)
    async with meeting(AiortcEngine("127.0.0.1"), *parts) as (_, legs):
        found = {part: await heard_by(legs[part]) for part in parts}
    assert found == {part: voices_for(part, parts) for part in parts}
    # The check can fail: the voice of each is one that somebody else hears.
    assert found[Part.VISITOR] == {VOICES[Part.AGENT]} != found[Part.AGENT]


async def test_a_supervisor_takes_a_real_call_over() -> None:
    parts = (Part.VISITOR, Part.AGENT, Part.WHISPERER)
    async with meeting(AiortcEngine("127.0.0.1"), *parts) as (room, legs):
        assert await heard_by(legs[Part.VISITOR]) == {VOICES[Part.AGENT]}
        room.move(legs[Part.WHISPERER].line, Part.AGENT)
        room.move(legs[Part.AGENT].line, Part.LISTENER)
        assert await heard_by(legs[Part.VISITOR]) == {VOICES[Part.WHISPERER]}


async def test_a_call_goes_from_its_agent_to_a_person_and_back() -> None:
    """A machine talks over an audio link; then a person's leg takes its place on the same connection."""
    engine, link = AiortcEngine("127.0.0.1"), AudioLink()
    async with (
        engine.open_room() as room,
        WebRtcCaller() as visitor,
        WebRtcCaller() as person,
        engine.open_peer(link, echo=False) as visitors,
    ):
        await visitor.accept(await visitors.answer(await visitor.offer()))
        await visitor.wait_connected()
        visitor.say(tone(VOICES[Part.VISITOR], 15, RATE), RATE)
        await link.play(tone(VOICES[Part.LISTENER], 9, MOUTH_RATE))
        with room.join(Part.VISITOR) as line, room.join(Part.AGENT) as other:
            leg = RealLeg(line, visitor, visitors)
            assert await heard_by(leg, 1.0) == {VOICES[Part.LISTENER]}
            async with engine.open_peer(other, echo=False) as persons:
                await person.accept(await persons.answer(await person.offer()))
                await person.wait_connected()
                person.say(tone(VOICES[Part.AGENT], 15, RATE), RATE)
                visitors.connect(line)
                assert await heard_by(leg, 1.0) == {VOICES[Part.AGENT]}
                assert await heard_by(RealLeg(other, person, persons), 1.0) == {VOICES[Part.VISITOR]}
        visitors.connect(link)
        assert await heard_by(leg, 1.0) == {VOICES[Part.LISTENER]}


async def test_a_leg_that_comes_back_takes_its_line_when_it_is_up_and_not_before() -> None:
    """Make before break: the old connection is heard until the new one carries the call."""
    parts = (Part.VISITOR, Part.AGENT)
    engine = AiortcEngine("127.0.0.1")
    async with (
        meeting(engine, *parts) as (_, legs),
        WebRtcCaller() as again,
        engine.open_peer(legs[Part.VISITOR].line, echo=False) as second,
    ):
        answer = await second.answer(await again.offer())
        assert await heard_by(legs[Part.VISITOR], 0.5) == {VOICES[Part.AGENT]}, "the old leg fell silent too early"
        await again.accept(answer)
        await again.wait_connected()
        new = RealLeg(legs[Part.VISITOR].line, again, second)
        assert await heard_by(new, 0.5) == {VOICES[Part.AGENT]}
        # The old one is let go; what it had is the other's by now.
        old = legs[Part.VISITOR].peer._audio
        assert old is not None
        old.connect(None)
        assert await heard_by(new, 0.5) == {VOICES[Part.AGENT]}
