"""Simulated media: peers that join an agent's audio link with a simulated caller, 20 ms by 20 ms of virtual time.

A peer does not wake up for each frame. It catches up with the time when something is to happen (a word of the caller
begins or ends, the agent's words run out), and before the agent's side of the link is touched. What agent and caller
find then is what a peer that wakes up for each frame would have done, but for one thing: while a voice goes on its
frames come in bunches of ``BUNCH``, as they do over a network.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

import anyio
from anyio.abc import TaskGroup

from offhook.actors.link import AudioLink
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import PeerConnected, PeerEvent, PeerLost, Tap
from offhook.protocol.messages import AddCandidate
from offhook.protocol.sdp import check_answer, check_offer
from offhook.protocol.speech import MOUTH_FRAME
from offhook.simulation.handset import BUNCH, FRAME, Handset, offer_of
from offhook.simulation.primitives import Nap
from offhook.simulation.scheduler import NODE, is_held
from offhook.simulation.speech import HANGOVER, is_sound

#: Seconds until a simulated connection is up, and until a missing caller is noticed.
SET_UP = 0.15
WATCHDOG = 4.0


@lru_cache(maxsize=256)
def _ufrag(offer: str) -> str:
    return check_offer(offer).ufrag


class SimulatedPeer:
    """One simulated connection."""

    def __init__(self, engine: "SimulatedEngine", link: AudioLink, tasks: TaskGroup, *, echo: bool) -> None:
        self._engine = engine
        self._link = link
        self._tasks = tasks
        self._echo = echo
        self._news: Mailbox[PeerEvent] = Mailbox()
        self._holding = False
        self._handset: Handset | None = None
        self._began = 0.0
        #: True once the caller's answer to our offer was taken.
        self._begun = False
        self._frames = 0
        #: Frames since the caller's last sound, and since the caller went missing.
        self._quiet = HANGOVER
        self._missing = 0
        self._nap = Nap()
        self._node = NODE.get()
        self.candidates: list[AddCandidate] = []

    async def answer(self, offer: str) -> str:
        """See ``MediaPeer``."""
        handset = self._engine.handsets[_ufrag(offer)]
        self._engine.answers += 1
        answer = offer.replace("a=setup:actpass", "a=setup:passive")
        answer = answer.replace("a=ice-ufrag:sim", f"a=ice-ufrag:ans{self._engine.answers}-")
        self._tasks.start_soon(self._run, handset, answer)
        return answer

    async def offer(self) -> str:
        """See ``MediaPeer``."""
        self._engine.answers += 1
        return offer_of(0).replace("a=ice-ufrag:sim00000", f"a=ice-ufrag:off{self._engine.answers}")

    async def take_answer(self, answer: str) -> None:
        """See ``MediaPeer``."""
        handset = self._engine.handsets[check_answer(answer).ufrag]
        if not self._begun:
            self._begun = True
            handset.accept(answer)
            self._tasks.start_soon(self._run, handset, answer)

    async def add_candidate(self, candidate: AddCandidate) -> None:
        """See ``MediaPeer``."""
        self.candidates.append(candidate)

    async def next_event(self) -> PeerEvent:
        """See ``MediaPeer``."""
        return await self._news.get()

    def quality(self) -> None:
        """See ``MediaPeer``: nothing is lost on the way of a simulated call, and nothing is measured."""

    def hold(self) -> None:
        """See ``MediaPeer``."""
        self._wake()
        self._holding = True

    def resume(self) -> None:
        """See ``MediaPeer``."""
        self._wake()
        self._holding = False

    def dial(self, keys: str) -> bool:
        """See ``MediaPeer``. A simulated handset takes no keys."""
        return False

    async def _run(self, handset: Handset, answer: str) -> None:
        await handset.wait_accepted(answer)
        await anyio.sleep(SET_UP)
        self._news.put(PeerConnected())
        self._began = anyio.current_time()
        self._handset = handset
        handset.wake = self._wake
        with self._link.watched(self._wake):
            # A process that was stopped may find its peer closed.
            while self._handset is not None:
                self._catch_up()
                await self._nap.until(self._began + self._next_frame() * FRAME)

    def _wake(self) -> None:
        if self._handset is not None and not is_held(self._node):
            self._catch_up()
            self._nap.end()

    def _next_frame(self) -> float:
        """Number of the frame at which something is to happen."""
        handset = self._handset
        assert handset is not None
        moments = [math.inf]
        if not handset.present:
            left = round(WATCHDOG / FRAME) - self._missing
            moments += [left] if left > 0 else []
            moments += [min(BUNCH, waiting)] if (waiting := self._link.sending) else []
            return self._frames + min(moments)
        if handset.speaks:
            # The first frame of a voice at once, and then in bunches.
            moments.append(1 if self._quiet >= HANGOVER else min(BUNCH, handset.speaks))
        elif self._quiet < HANGOVER:
            moments.append(HANGOVER - self._quiet)
        if not (self._holding or self._echo) and (waiting := self._link.sending):
            moments.append(min(BUNCH, waiting))
        return self._frames + min(moments)

    def _catch_up(self) -> None:
        """Send and receive the frames that are due."""
        handset = self._handset
        assert handset is not None
        now = anyio.current_time()
        due = math.floor((now - self._began) / FRAME + 1e-6)
        if due - self._frames > 2 * BUNCH and handset.present and (handset.speaks or self._link.sending):
            # The process was stopped. What it should have sent meanwhile is sent now, what came is lost.
            self._frames = due - 1
        if self._frames < due:
            handset.on_hold = self._holding
        while self._frames < due:
            if not handset.present:
                self._miss(due - self._frames)
                self._frames = due
                return
            count = due - self._frames
            self._missing = self._came_back()
            if handset.speaks or self._quiet < HANGOVER:
                said = handset.next_frames(min(count, handset.speaks or HANGOVER - self._quiet))
                count = len(said)
                self._send(handset, said, now)
            if not self._echo:
                self._receive(handset, count, now)
            self._frames += count

    def _miss(self, frames: int) -> None:
        """The network of the caller was gone so long."""
        if waiting := self._link.sending:
            self._link.take_all(min(frames, waiting))
        before, self._missing = self._missing, self._missing + frames
        if before < round(WATCHDOG / FRAME) <= self._missing:
            self._news.put(PeerLost())

    def _came_back(self) -> int:
        if self._missing >= round(WATCHDOG / FRAME):
            self._news.put(PeerConnected())
        return 0

    def _send(self, handset: Handset, said: list[bytes], now: float) -> None:
        """The next frames of the caller."""
        heard = []
        for frame in said:
            self._quiet = 0 if is_sound(frame) else self._quiet + 1
            if self._quiet <= HANGOVER:
                # Silence after that says nothing new to the agent.
                heard.append(frame)
        if self._echo:
            handset.hear(b"".join(frame.ljust(MOUTH_FRAME, b"\0") for frame in said), now)
        elif not self._holding:
            self._link.hear_all(heard)

    def _receive(self, handset: Handset, count: int, now: float) -> None:
        """The next frames of the agent; silence when there are fewer."""
        waiting = 0 if self._holding else min(self._link.sending, count)
        if waiting:
            handset.hear(self._link.take_all(waiting), now)
        if waiting < count:
            handset.hear(None, now)

    def close(self) -> None:
        """End: from now on nothing passes."""
        if self._handset is not None:
            self._catch_up()
            if self._handset.wake == self._wake:
                self._handset.wake = lambda: None
            self._handset.hear(None, anyio.current_time())
            self._handset = None


class SimulatedEngine:
    """Joins agents with the handsets that are registered here, by the ICE user name in the offer."""

    def __init__(self) -> None:
        self.handsets: dict[str, Handset] = {}
        #: Peers that are open now, and answers that were ever given.
        self.open = 0
        self.answers = 0

    def register(self, offer: str, handset: Handset) -> None:
        """Make ``handset`` reachable for whoever gets ``offer``."""
        self.handsets[_ufrag(offer)] = handset

    @asynccontextmanager
    async def open_peer(
        self,
        link: AudioLink,
        *,
        echo: bool,
        tap: Tap | None = None,
    ) -> AsyncIterator[SimulatedPeer]:
        """See ``MediaEngine``. There are no packets that a ``tap`` could get."""
        async with anyio.create_task_group() as tasks:
            self.open += 1
            peer = SimulatedPeer(self, link, tasks, echo=echo)
            try:
                yield peer
            finally:
                self.open -= 1
                peer.close()
                tasks.cancel_scope.cancel()
