"""Simulated media: peers that join an agent's audio link with a simulated caller, 20 ms by 20 ms of virtual time."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from offhook.actors.link import AudioLink
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import PeerClosed, PeerConnected, PeerEvent, PeerLost
from offhook.protocol.messages import AddCandidate
from offhook.protocol.sdp import check_offer
from offhook.protocol.speech import EAR_FRAME, MOUTH_FRAME
from offhook.simulation.speech import is_sound, words_in

_SILENCE = bytes(EAR_FRAME)
FRAME = 0.02
#: Seconds until a simulated connection is up, and until a missing caller is noticed.
SET_UP = 0.15
WATCHDOG = 4.0

_OFFER = """v=0
o=- {number} 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:{ufrag}
a=ice-pwd:simulatedsimulatedsimulated
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
""".replace("\n", "\r\n")


def offer_of(number: int) -> str:
    """A valid SDP offer that names simulated handset ``number``."""
    key = ":".join([f"{number // 256 % 256:02X}", f"{number % 256:02X}"] * 16)
    return _OFFER.format(number=number, ufrag=f"sim{number:05d}", fingerprint=key)


class Handset:
    """The caller's end of the audio: what is to be said, and what was heard."""

    def __init__(self) -> None:
        self._to_say: deque[bytes] = deque()
        self._said = anyio.Event()
        self._heard = anyio.Event()
        #: Words the caller has heard, in order.
        self.words: list[str] = []
        #: True while the agent's voice is heard.
        self.hears_voice = False
        #: False: the caller's network is gone.
        self.present = True
        self.on_hold = False

    def say(self, frames: list[bytes]) -> None:
        """Put frames into the microphone."""
        self._to_say.extend(frames)

    async def wait_said(self) -> None:
        """Wait until everything was said."""
        while self._to_say:
            self._said = anyio.Event()
            await self._said.wait()

    async def wait_heard(self) -> None:
        """Wait until something more is heard."""
        self._heard = anyio.Event()
        await self._heard.wait()

    def next_frame(self) -> bytes:
        """What the microphone gives now."""
        if not self._to_say:
            return _SILENCE
        frame = self._to_say.popleft()
        if not self._to_say:
            self._said.set()
        return frame

    def hear(self, frame: bytes | None) -> None:
        """What the loudspeaker plays now."""
        self.hears_voice = frame is not None and is_sound(frame)
        if frame is not None and (words := list(words_in(frame, MOUTH_FRAME))):
            self.words.extend(words)
            self._heard.set()


class SimulatedPeer:
    """One simulated connection."""

    def __init__(self, engine: "SimulatedEngine", link: AudioLink, tasks: TaskGroup, *, echo: bool) -> None:
        self._engine = engine
        self._link = link
        self._tasks = tasks
        self._echo = echo
        self._news: Mailbox[PeerEvent] = Mailbox()
        self._holding = False
        self.candidates: list[AddCandidate] = []

    async def answer(self, offer: str) -> str:
        """See ``MediaPeer``."""
        handset = self._engine.handsets[check_offer(offer).ufrag]
        self._tasks.start_soon(self._run, handset)
        return offer.replace("a=setup:actpass", "a=setup:passive")

    async def add_candidate(self, candidate: AddCandidate) -> None:
        """See ``MediaPeer``."""
        self.candidates.append(candidate)

    async def next_event(self) -> PeerEvent:
        """See ``MediaPeer``."""
        return await self._news.get()

    def hold(self) -> None:
        """See ``MediaPeer``."""
        self._holding = True

    def resume(self) -> None:
        """See ``MediaPeer``."""
        self._holding = False

    async def _run(self, handset: Handset) -> None:
        await anyio.sleep(SET_UP)
        self._news.put(PeerConnected())
        missing = 0.0
        began, frames = anyio.current_time(), 0
        while True:
            frames += 1
            await anyio.sleep_until(began + frames * FRAME)
            handset.on_hold = self._holding
            if not handset.present:
                self._link.take()
                missing += FRAME
                if missing - FRAME < WATCHDOG <= missing:
                    self._news.put(PeerLost())
                continue
            if missing >= WATCHDOG:
                self._news.put(PeerConnected())
            missing = 0.0
            said = handset.next_frame()
            if self._echo:
                handset.hear(said.ljust(MOUTH_FRAME, b"\0"))
            elif self._holding:
                handset.hear(None)
            else:
                self._link.hear(said)
                handset.hear(self._link.take())

    def close(self) -> None:
        """Report the end."""
        self._news.put(PeerClosed())


class SimulatedEngine:
    """Joins agents with the handsets that are registered here, by the ICE user name in the offer."""

    def __init__(self) -> None:
        self.handsets: dict[str, Handset] = {}
        #: Peers that are open now.
        self.open = 0

    def register(self, offer: str, handset: Handset) -> None:
        """Make ``handset`` reachable for whoever gets ``offer``."""
        self.handsets[check_offer(offer).ufrag] = handset

    @asynccontextmanager
    async def open_peer(self, link: AudioLink, *, echo: bool) -> AsyncIterator[SimulatedPeer]:
        """See ``MediaEngine``."""
        async with anyio.create_task_group() as tasks:
            self.open += 1
            try:
                yield SimulatedPeer(self, link, tasks, echo=echo)
            finally:
                self.open -= 1
                tasks.cancel_scope.cancel()
