"""Legs of one call joined: packets passed on as they came, or mixed where somebody hears more than one (H2, H3).

Each leg is a ``Line`` of the room. A leg that hears one other gets its Opus packets at once, with the numbers of its
own stream: nothing is decoded, and what the network lost on the first leg is repaired at the far end of the second. A
leg that hears several, or that takes no Opus, gets sound: the packets of those it hears pass a jitter buffer for an
even pace, are decoded once for all that hear them, and mixed. ``offhook.protocol.conference`` says who hears whom.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from offhook.protocol.conference import Part, decoded, is_passed_on, plan
from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE
from offhook.services.media.codec import open_decoder
from offhook.services.media.hearing import EvenHearing
from offhook.services.media.mixing import mix
from offhook.services.media.ticker import Ticker

#: What passes an Opus packet on: SSRC, marker, sequence number, timestamp, payload.
Relay = Callable[[int, bool, int, int, bytes], None]
#: Frames of sound that may wait at either end of a line.
MAX_WAITING = 5
_SILENCE = bytes(MOUTH_FRAME)


def to_nobody(_source: int, _marker: bool, _sequence: int, _timestamp: int, _payload: bytes) -> None:
    """The relay of a leg that is not up."""


class Line:
    """One party's place in a room. Both directions are called on the packet path and never wait."""

    def __init__(self, *, takes_packets: bool) -> None:
        #: False: the party's leg takes sound only (see ``take``).
        self.takes_packets = takes_packets
        #: What sends packets to this party.
        self.relay: Relay = to_nobody
        #: Those who get this party's packets as they are.
        self.followers: tuple[Line, ...] = ()
        #: True while somebody hears this party mixed.
        self.is_mixed = False
        self._source: int | None = None
        self._hearing: EvenHearing | None = None
        self._said: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._to_hear: deque[bytes] = deque(maxlen=MAX_WAITING)

    # ── what the party's leg calls ─────────────────────────────────────────────────────────────────────────────

    def packet(self, source: int, marker: bool, sequence: int, timestamp: int, payload: bytes | None) -> None:
        """A packet of the party; None for the payload of one that holds no sound (a key)."""
        if payload is not None:
            for follower in self.followers:
                follower.relay(source, marker, sequence, timestamp, payload)
        if not self.is_mixed:
            return
        if self._hearing is None or source != self._source:
            self._source, self._hearing = source, EvenHearing(open_decoder(MOUTH_RATE))
        self._hearing.put(sequence, timestamp, payload, time.monotonic())

    def say(self, frame: bytes) -> None:
        """20 ms of a party that has no packets (s16le mono, ``MOUTH_RATE``), each 20 ms."""
        if self.is_mixed:
            self._said.append(frame)

    def take(self) -> bytes | None:
        """The next 20 ms the party hears mixed; None when there is nothing, or it gets packets."""
        return self._to_hear.popleft() if self._to_hear else None

    # ── what the room calls ────────────────────────────────────────────────────────────────────────────────────

    def next_said(self, now: float) -> bytes:
        """The next 20 ms of the party, decoded; silence when there is nothing."""
        if self._said:
            return self._said.popleft()
        return _SILENCE if self._hearing is None else self._hearing.take(now)

    def give(self, frame: bytes) -> None:
        """20 ms for the party to hear."""
        self._to_hear.append(frame)

    def forget_said(self) -> None:
        """Nobody hears the party mixed any more: it is not decoded, and what waited is dropped."""
        self._hearing = None
        self._said.clear()

    def forget_mix(self) -> None:
        """The party hears no mix any more: what waited of it would sound between the packets that come now."""
        self._to_hear.clear()


class Room:
    """The legs of one call, at most ``MAX_PARTIES``. ``open_room`` makes one."""

    def __init__(self) -> None:
        self._parties: dict[Line, Part] = {}
        #: Those who hear a mix, and of whom.
        self._mixes: dict[Line, tuple[Line, ...]] = {}

    @contextmanager
    def join(self, part: Part, *, takes_packets: bool = True) -> Iterator[Line]:
        """A place in the room, until the context is left. Raises ``RoomFull``.

        A leg that ``takes_packets`` sets the line's ``relay``; any leg has to ``take`` the sound of a mix.
        """
        line = Line(takes_packets=takes_packets)
        plan({**self._parties, line: part})
        self._parties[line] = part
        self._arrange()
        try:
            yield line
        finally:
            del self._parties[line]
            self._arrange()

    def move(self, line: Line, part: Part) -> None:
        """Give a party another part: somebody who listened takes the call over, or hands it back."""
        self._parties[line] = part
        self._arrange()

    def tick(self, _frame: int = 0) -> int:
        """Mix the next 20 ms; returns the frames until the next tick."""
        if not self._mixes:
            return 1
        now = time.monotonic()
        said = {line: line.next_said(now) for line in self._parties if line.is_mixed}
        for hearer, sources in self._mixes.items():
            hearer.give(mix([said[source] for source in sources]))
        return 1

    def _arrange(self) -> None:
        plans = plan(self._parties)
        takers = {line for line in self._parties if line.takes_packets}
        mixed = decoded(plans, takers)
        passed = {hearer for hearer, heard in plans.items() if is_passed_on(heard, takes_packets=hearer in takers)}
        self._mixes = {hearer: heard for hearer, heard in plans.items() if heard and hearer not in passed}
        for line in self._parties:
            line.followers = tuple(hearer for hearer in passed if plans[hearer] == (line,))
            line.is_mixed = line in mixed
            if not line.is_mixed:
                line.forget_said()
            if line not in self._mixes:
                line.forget_mix()


@asynccontextmanager
async def open_room(ticker: Ticker) -> AsyncIterator[Room]:
    """A room that mixes while the context is open."""
    room = Room()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticker.run, room.tick)
        yield room
        tasks.cancel_scope.cancel()
