"""The media actor: holds the peer connection of one call.

It turns what happens to the connection into reports, and orders into what the peer does. It holds no rule about calls:
whether a lost connection ends the call is the session's decision.
"""

import logging

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.inbox import Inbox
from offhook.actors.link import AudioLink
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import (
    Bus,
    BusAway,
    MediaEngine,
    MediaPeer,
    PeerClosed,
    PeerConnected,
    PeerDigit,
    PeerEvent,
    PeerFailed,
    PeerLost,
    Recorder,
)
from offhook.actors.reporter import Reporter, open_reporter
from offhook.actors.tape import Tape, open_tape
from offhook.protocol import subjects
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Refusal
from offhook.protocol.messages import (
    AddCandidate,
    CallerDialed,
    Envelope,
    encode,
)
from offhook.protocol.quality import Quality, add

log = logging.getLogger("offhook.media")

#: Seconds without a packet and without an order after which the peer is closed: its session is gone for good.
FORSAKEN = 90.0
#: Seconds between two reports of how the audio fares.
MEASURE_EVERY = 30.0
#: Seconds to wait for the session to take the last report.
FAREWELL = 10.0


class _Answered(msgspec.Struct, frozen=True):
    """The offer of a connection has an answer, or there is an offer of ours."""

    sdp: str


class _Refused(msgspec.Struct, frozen=True):
    """The offer of a connection cannot be taken."""

    refusal: Refusal


class _Unwanted(msgspec.Struct, frozen=True):
    """Another node has the call: the offer came twice."""


class _News(msgspec.Struct, frozen=True):
    """Something happened to connection ``number``."""

    number: int
    event: PeerEvent | _Answered | _Refused


class _Connection(msgspec.Struct):
    """One peer connection of the call; a caller who comes back brings a new one (G11)."""

    number: int
    scope: anyio.CancelScope
    peer: MediaPeer | None = None
    #: True while packets come.
    up: bool = False
    #: True once packets came.
    was_up: bool = False


Letter = Envelope | _News | _Unwanted


class MediaActor:
    """Holds the media of one call on voice node ``node``.

    At most two connections live at a time: the one that carries the call, and the one that is to take over. The old one
    is closed when the new one is up, never before.
    """

    def __init__(
        self,
        call: str,
        *,
        bus: Bus,
        engine: MediaEngine,
        link: AudioLink,
        node: str,
        recorder: Recorder | None = None,
    ) -> None:
        """``recorder`` records the call if it is given."""
        self.call = call
        self._bus = bus
        self._engine = engine
        self._link = link
        self._node = node
        self._recorder = recorder
        self._mailbox: Mailbox[Letter] = Mailbox()
        self._count = 0
        self._digits = 0
        self._connections: list[_Connection] = []
        self._echo = False
        self._holding = False
        #: The last offer of the caller, empty where the offer is ours; None: no order yet.
        self._offer: str | None = None
        #: Number of the attempt to have a voice node; from 2 the call was up at another one before.
        self._opening = 1
        self._tasks: TaskGroup
        self._reporter: Reporter
        self._tape: Tape
        #: Who reports.
        self._source = ""
        #: How the audio of connections that were given up had fared, and what was told last.
        self._past: Quality | None = None
        self._told: Quality | None = None

    async def run(self, order: do.OpenMedia, inbox: Inbox) -> None:
        """Take the offer, then follow the orders in ``inbox`` until told to close."""
        self._echo = order.mode == "echo"
        self._opening = order.opening
        self._past = self._told = order.quality
        self._source = f"media {self._node} {order.opening}"
        async with (
            open_reporter(self._bus, self.call, self._source) as self._reporter,
            open_tape(self._recorder, self.call, order, self._reporter) as self._tape,
        ):
            async with anyio.create_task_group() as self._tasks:
                self._tasks.start_soon(self._collect, inbox)
                self._connect(order.sdp)
                self._tasks.start_soon(self._measure)
                await self._serve()
                if (last := self._measured()) is not None:
                    self._reporter.report(last)
                self._tasks.cancel_scope.cancel()
            await self._tape.finish()
            self._reporter.report(ev.MediaClosed())
            with anyio.move_on_after(FAREWELL):
                await self._reporter.wait_confirmed()

    async def _serve(self) -> None:
        alive = True
        while True:
            with anyio.move_on_after(None if alive else FORSAKEN) as patience:
                letter = await self._mailbox.get()
            if patience.cancelled_caught:
                log.warning("media of a forsaken call closed", extra={"call": self.call})
                return
            match letter:
                case Envelope(body=do.CloseMedia(before=before)) if before in range(1, self._opening + 1):
                    log.debug("not meant for this opening", extra={"call": self.call})
                case Envelope(body=do.CloseMedia()) | _Unwanted():
                    return
                case Envelope():
                    await self._obey(letter)
                case _News(event=PeerDigit(digit=digit)):
                    await self._pass_digit(digit)
                case _News(number=1, event=_Refused(refusal=refusal)) if self._opening > 1:
                    # The call is not here yet. When the caller offers again anybody may take it.
                    self._refuse(refusal)
                    return
                case _News():
                    alive = self._take(letter)

    async def _obey(self, envelope: Envelope) -> None:
        match envelope.body:
            case AddCandidate() as candidate if (peer := self._peer(-1)) is not None:
                await peer.add_candidate(candidate)
            case do.ReopenMedia(sdp=sdp):
                self._connect(sdp)
            case do.TakeAnswer(sdp=sdp) if (peer := self._peer(0)) is not None:
                await self._take_answer(peer, sdp)
            case do.HoldMedia():
                self._hold(holding=True)
            case do.ResumeMedia():
                self._hold(holding=False)

    async def _take_answer(self, peer: MediaPeer, answer: str) -> None:
        try:
            await peer.take_answer(answer)
        except Refusal as refusal:
            self._reporter.report(ev.MediaFailed(reason=refusal.reason.value, message=refusal.message))

    def _hold(self, *, holding: bool) -> None:
        self._holding = holding
        for connection in self._connections:
            if connection.peer is not None:
                (connection.peer.hold if holding else connection.peer.resume)()

    async def _pass_digit(self, digit: str) -> None:
        self._digits += 1
        envelope = Envelope(call=self.call, source=self._source, number=self._digits, body=CallerDialed(digit))
        try:
            await self._bus.publish(subjects.agent(self.call), encode(envelope))
        except BusAway:
            log.warning("digit lost, the bus is away", extra={"call": self.call})

    async def _measure(self) -> None:
        while True:
            await anyio.sleep(MEASURE_EVERY)
            if (measured := self._measured()) is not None:
                # Waited for, so that reports do not pile up while nobody takes them.
                await self._reporter.ask(measured)

    def _measured(self) -> ev.AudioMeasured | None:
        """How the audio fares; None when there is nothing new to tell."""
        carrying = [known.peer for known in self._connections if known.was_up and known.peer is not None]
        quality = add(self._past, carrying[-1].quality() if carrying else None)
        if quality is None or quality == self._told:
            return None
        self._told = quality
        return ev.AudioMeasured(quality=quality)

    # ── connections ────────────────────────────────────────────────────────────────────────────────────────────

    def _peer(self, which: int) -> MediaPeer | None:
        """The peer of the first (0) or the newest (-1) connection; there may be none to come back on yet."""
        return self._connections[which].peer if self._connections else None

    def _connect(self, offer: str) -> None:
        """Begin a connection; one that was to take over and is not up yet is given up for it."""
        if offer == self._offer:
            # The order came twice.
            return
        self._offer = offer
        for connection in self._connections[1:]:
            connection.scope.cancel()
        self._count += 1
        connection = _Connection(self._count, anyio.CancelScope())
        self._connections = [*self._connections[:1], connection]
        self._tasks.start_soon(self._run_connection, connection, offer)

    async def _run_connection(self, connection: _Connection, offer: str) -> None:
        with connection.scope:
            async with self._engine.open_peer(self._link, echo=self._echo, tap=self._tape.tap) as peer:
                connection.peer = peer
                if self._holding:
                    peer.hold()
                try:
                    answer = await peer.answer(offer) if offer else await peer.offer()
                except Refusal as refusal:
                    await self._mailbox.put_soon(_News(connection.number, _Refused(refusal)))
                    return
                await self._mailbox.put_soon(_News(connection.number, _Answered(answer)))
                event: PeerEvent | None = None
                while not isinstance(event, PeerFailed | PeerClosed):
                    event = await peer.next_event()
                    await self._mailbox.put_soon(_News(connection.number, event))

    def _take(self, news: _News) -> bool:
        """Report what happened to a connection; True while packets come from the caller."""
        number = news.number
        connection = next((known for known in self._connections if known.number == number), None)
        if connection is None:
            return any(known.up for known in self._connections)
        match news.event:
            case _Answered(sdp=sdp):
                self._tasks.start_soon(self._offer_answer, number, sdp)
            case PeerConnected():
                connection.up = connection.was_up = True
                self._retire_before(number)
                self._reporter.report(ev.MediaConnected())
                self._tape.begin()
            case _Refused(refusal=refusal) if number > 1:
                self._refuse(refusal)
                self._connections.remove(connection)
            case PeerFailed() | PeerClosed() if not connection.was_up and (number > 1 or self._opening > 1):
                # Only the attempt to come back has failed; the caller may try again while the call waits.
                log.info("connection did not come up", extra={"call": self.call})
                self._connections.remove(connection)
            case _Refused(refusal=refusal):
                self._reporter.report(ev.MediaFailed(reason=refusal.reason.value, message=refusal.message))
            case PeerFailed(reason=reason, message=message) if not connection.was_up:
                self._reporter.report(ev.MediaFailed(reason=reason, message=message))
            case PeerLost() | PeerFailed() | PeerClosed():
                # A browser that closes its connection without a word may be a page that reloads: it can come back.
                connection.up = False
                self._reporter.report(ev.MediaLost())
        return any(known.up for known in self._connections)

    def _refuse(self, refusal: Refusal) -> None:
        """Only the attempt to come back has failed; the caller may try again while the call waits or goes on."""
        self._reporter.report(ev.ReofferRefused(reason=refusal.reason.value, message=refusal.message))

    async def _offer_answer(self, number: int, sdp: str) -> None:
        wanted = await self._reporter.ask(ev.MediaPrepared(sdp=sdp, node=self._node))
        if not wanted and number == 1:
            await self._mailbox.put_soon(_Unwanted())

    def _retire_before(self, number: int) -> None:
        for connection in self._connections:
            if connection.number < number:
                if connection.was_up and connection.peer is not None:
                    self._past = add(self._past, connection.peer.quality())
                connection.scope.cancel()
        self._connections = [known for known in self._connections if known.number >= number]

    async def _collect(self, inbox: Inbox) -> None:
        async for envelope in inbox:
            await self._mailbox.put_soon(envelope)
