"""The media actor: holds the peer connection of one call.

It turns what happens to the connection into reports, and orders into what the peer does. It holds no rule about calls:
whether a lost connection ends the call is the session's decision.
"""

import logging

import anyio
import msgspec

from offhook.actors.inbox import Inbox
from offhook.actors.link import AudioLink
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import (
    Bus,
    MediaEngine,
    MediaPeer,
    PeerClosed,
    PeerConnected,
    PeerDigit,
    PeerEvent,
    PeerFailed,
    PeerLost,
)
from offhook.actors.reporter import Reporter, open_reporter
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Refusal
from offhook.protocol.messages import (
    AddCandidate,
    CallerDialed,
    Envelope,
    encode,
)

log = logging.getLogger("offhook.media")

#: Seconds without a packet and without an order after which the peer is closed: its session is gone for good.
FORSAKEN = 90.0
#: Seconds to wait for the session to take the last report.
FAREWELL = 10.0


class _Prepared(msgspec.Struct, frozen=True):
    report: CallEvent


Letter = Envelope | PeerEvent | _Prepared


class MediaActor:
    """Holds the media of one call on voice node ``node``."""

    def __init__(self, call: str, *, bus: Bus, engine: MediaEngine, link: AudioLink, node: str) -> None:
        self.call = call
        self._bus = bus
        self._engine = engine
        self._link = link
        self._node = node
        self._mailbox: Mailbox[Letter] = Mailbox()
        self._peer: MediaPeer
        self._reporter: Reporter

    async def run(self, order: do.OpenMedia, inbox: Inbox) -> None:
        """Take the offer, then follow the orders in ``inbox`` until told to close."""
        async with open_reporter(self._bus, self.call, "media") as self._reporter:
            async with (
                self._engine.open_peer(self._link, echo=order.mode == "echo") as self._peer,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(self._collect, inbox)
                tasks.start_soon(self._prepare, order.sdp)
                tasks.start_soon(self._watch_peer)
                await self._serve()
                tasks.cancel_scope.cancel()
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
                case Envelope(body=do.CloseMedia()):
                    return
                case Envelope():
                    await self._obey(letter)
                case _Prepared(report=report):
                    self._reporter.report(report)
                case PeerDigit(digit=digit):
                    envelope = Envelope(call=self.call, body=CallerDialed(digit))
                    await self._bus.publish(subjects.agent(self.call), encode(envelope))
                case _:
                    alive = isinstance(letter, PeerConnected)
                    self._reporter.report(_fact(letter))

    async def _obey(self, envelope: Envelope) -> None:
        match envelope.body:
            case AddCandidate():
                await self._peer.add_candidate(envelope.body)
            case do.HoldMedia():
                self._peer.hold()
            case do.ResumeMedia():
                self._peer.resume()

    async def _prepare(self, offer: str) -> None:
        try:
            answer = await self._peer.answer(offer)
        except Refusal as refusal:
            report: CallEvent = ev.MediaFailed(reason=refusal.reason.value, message=refusal.message)
        else:
            report = ev.MediaPrepared(sdp=answer, node=self._node)
        self._mailbox.put(_Prepared(report))

    async def _watch_peer(self) -> None:
        while True:
            event = await self._peer.next_event()
            await self._mailbox.put_soon(event)
            if isinstance(event, PeerFailed | PeerClosed):
                return

    async def _collect(self, inbox: Inbox) -> None:
        async for envelope in inbox:
            await self._mailbox.put_soon(envelope)


def _fact(event: PeerConnected | PeerLost | PeerFailed | PeerClosed) -> CallEvent:
    match event:
        case PeerConnected():
            return ev.MediaConnected()
        case PeerFailed(reason=reason, message=message):
            return ev.MediaFailed(reason=reason, message=message)
        case PeerLost() | PeerClosed():
            # A browser that closes its connection without a word may be a page that reloads: it can come back.
            return ev.MediaLost()
