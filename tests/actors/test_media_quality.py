"""What the media actor tells: how the audio fared, now and then, at the end, and nothing twice; and what it refuses."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import anyio
import trio
import trio.testing

from offhook.actors.inbox import Inbox
from offhook.actors.link import AudioLink
from offhook.actors.media import MEASURE_EVERY, MediaActor
from offhook.actors.ports import MediaPeer, PeerConnected, PeerEvent, Tap
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.messages import AddCandidate, Envelope, Taken, decode_envelope, encode
from offhook.protocol.quality import Quality
from offhook.simulation.bus import SimulatedBus

CALL = "6f1c2d3e-0000-4000-8000-00000000000b"


class Peer:
    """A peer that is up at once and has ``fared`` as the test says."""

    def __init__(self) -> None:
        self.fared: Quality | None = Quality(received=10)
        self._up = False

    async def answer(self, offer: str) -> str:
        if offer == "bad":
            raise Refusal(Reason.SDP_INVALID, "That is no offer.")
        return f"answer to {offer}"

    async def offer(self) -> str:
        return "offer"

    async def take_answer(self, answer: str) -> None:
        """Nothing to do."""

    async def add_candidate(self, candidate: AddCandidate) -> None:
        """Nothing to do."""

    async def next_event(self) -> PeerEvent:
        if self._up:
            await anyio.sleep_forever()
        self._up = True
        return PeerConnected()

    def quality(self) -> Quality | None:
        return self.fared

    def hold(self) -> None:
        """Nothing to do."""

    def resume(self) -> None:
        """Nothing to do."""

    def dial(self, keys: str) -> bool:
        return False


class Stage:
    """A media actor, its peers in the order in which they were opened, and what the session got."""

    def __init__(self, *, sdp: str = "first", opening: int = 1, quality: Quality | None = None) -> None:
        self._order = do.OpenMedia(
            sdp=sdp, agent="a", version="1", mode="traditional", opening=opening, quality=quality
        )
        self.peers: list[Peer] = []
        self.got: list[CallEvent] = []
        self._orders, self._inbox = anyio.create_memory_object_stream[Envelope](16)
        self._bus = SimulatedBus()

    @asynccontextmanager
    async def open_peer(self, link: AudioLink, *, echo: bool, tap: Tap | None = None) -> AsyncIterator[MediaPeer]:
        self.peers.append(Peer())
        yield cast(MediaPeer, self.peers[-1])

    async def order(self, order: do.CallEffect) -> None:
        await self._orders.send(Envelope(call=CALL, owner=1, seq=1, body=order))
        await anyio.sleep(1)

    async def take_reports(self) -> None:
        bus, taken = self._bus.client("session"), set()
        async with bus.subscribe(subjects.session(CALL)) as stream:
            async for data in stream:
                report = decode_envelope(data)
                if report.number not in taken:
                    taken.add(report.number)
                    self.got.append(cast(CallEvent, report.body))
                confirmed = Envelope(call=CALL, owner=1, body=Taken(report.source, report.number))
                await bus.publish(subjects.taken(CALL, report.source), encode(confirmed))

    @property
    def told(self) -> list[Quality]:
        return [event.quality for event in self.got if isinstance(event, ev.AudioMeasured)]

    def play(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """Run the actor through ``scenario`` and close it, in virtual time."""

        async def run() -> None:
            actor = MediaActor(CALL, bus=self._bus.client("voice"), engine=self, link=AudioLink(), node="voice-1")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.take_reports)
                await anyio.sleep(0.1)
                async with anyio.create_task_group() as life:
                    life.start_soon(actor.run, self._order, cast(Inbox, self._inbox))
                    await anyio.sleep(1)
                    await scenario()
                    await self.order(do.CloseMedia())
                tasks.cancel_scope.cancel()

        trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


def test_it_tells_now_and_then_and_at_the_end() -> None:
    stage = Stage()

    async def scenario() -> None:
        await anyio.sleep(MEASURE_EVERY)
        assert stage.told == [Quality(received=10)]
        # Nothing new, nothing told.
        await anyio.sleep(3 * MEASURE_EVERY)
        assert len(stage.told) == 1
        stage.peers[0].fared = Quality(received=20)

    stage.play(scenario)
    assert stage.told == [Quality(received=10), Quality(received=20)]
    assert [type(event) for event in stage.got[-2:]] == [ev.AudioMeasured, ev.MediaClosed]


def test_a_caller_who_comes_back_has_one_quality() -> None:
    stage = Stage()

    async def scenario() -> None:
        stage.peers[0].fared = Quality(received=100, lost=3, jitter=0.5)
        await stage.order(do.ReopenMedia(sdp="second"))
        stage.peers[1].fared = Quality(received=7, jitter=0.1)

    stage.play(scenario)
    assert stage.told == [Quality(received=107, lost=3, jitter=0.1)]


def test_a_peer_that_measures_nothing_has_nothing_told() -> None:
    stage = Stage()

    async def scenario() -> None:
        stage.peers[0].fared = None
        await anyio.sleep(2 * MEASURE_EVERY)

    stage.play(scenario)
    assert stage.told == []
    assert type(stage.got[-1]) is ev.MediaClosed


def test_a_call_that_had_another_voice_node_has_one_quality() -> None:
    stage = Stage(opening=2, quality=Quality(received=100, lost=3, jitter=0.5))

    async def scenario() -> None:
        stage.peers[0].fared = Quality(received=7, jitter=0.1)

    stage.play(scenario)
    assert stage.told == [Quality(received=107, lost=3, jitter=0.1)]


REFUSED = ev.ReofferRefused(reason="sdp_invalid", message="That is no offer.")


def test_a_second_offer_that_is_refused_leaves_the_first_connection_alone() -> None:
    stage = Stage()

    async def scenario() -> None:
        await stage.order(do.ReopenMedia(sdp="bad"))
        assert stage.got[-1] == REFUSED
        await stage.order(do.ReopenMedia(sdp="second"))
        assert ev.MediaPrepared(sdp="answer to second", node="voice-1") in stage.got

    stage.play(scenario)


def test_a_call_that_lost_its_voice_node_does_not_fail_with_an_offer() -> None:
    stage = Stage(sdp="bad", opening=2)

    async def scenario() -> None:
        assert stage.got == [REFUSED, ev.MediaClosed()]

    stage.play(scenario)


def test_only_those_of_an_earlier_opening_are_closed() -> None:
    stage = Stage(opening=2)

    async def scenario() -> None:
        for before in (1, 2):
            await stage.order(do.CloseMedia(before=before))
        assert ev.MediaClosed() not in stage.got
        await stage.order(do.CloseMedia(before=3))
        assert stage.got[-1] == ev.MediaClosed()

    stage.play(scenario)
