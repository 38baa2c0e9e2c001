"""The signaling actor: one caller's socket on one side, the call's session on the other.

It turns frames into messages and back and holds no rule about calls. What it does know is its own small table: which
frames make sense on a socket without a call, while a call is being opened, and in a call.
"""

import logging
from enum import StrEnum

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.caller_socket import CallerSocket, CloseCode, FrameReader, SocketClosed
from offhook.actors.doorkeeper import Admitted, Doorkeeper
from offhook.actors.inbox import Inbox
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import Bus, BusAway
from offhook.actors.reporter import Reporter, open_reporter
from offhook.protocol import subjects
from offhook.protocol.call import CallEvent, LogEntry, announced, fold
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.messages import (
    TO_SIGNALING,
    AddCandidate,
    Aside,
    CallerDialed,
    CallerTyped,
    Envelope,
    InfoReceived,
    ShowCandidate,
    encode,
)
from offhook.protocol.sdp import check_offer
from offhook.protocol.signal import (
    ClientFrame,
    Close,
    Dtmf,
    IceCandidate,
    Info,
    Offer,
    Resume,
    Text,
    encode_answer,
    encode_candidate,
    encode_error,
    encode_event,
    encode_resumed,
)

log = logging.getLogger("offhook.signaling")

#: Seconds to wait for the session to take the last report of a socket that is gone.
FAREWELL = 10.0
#: Candidates kept until the answer, and taken from one caller in all.
MOST_CANDIDATES = 24


class SocketState(StrEnum):
    """What a socket is good for."""

    #: No call yet: an offer is expected.
    OPEN = "open"
    #: An offer is being looked at.
    OPENING = "opening"
    #: There is a call; its answer has not come yet.
    OFFERED = "offered"
    #: The call's answer was sent.
    ANSWERED = "answered"


#: Which frames make sense in which state; a new offer in a call may only repeat the call's own.
ALLOWED: dict[SocketState, tuple[type[ClientFrame], ...]] = {
    SocketState.OPEN: (Offer, Resume, Close),
    SocketState.OPENING: (IceCandidate, Close),
    SocketState.OFFERED: (IceCandidate, Close, Offer, Info, Text, Dtmf),
    SocketState.ANSWERED: (IceCandidate, Close, Offer, Info, Text, Dtmf),
}


class _Gone(msgspec.Struct, frozen=True):
    """The socket is closed."""


class _Opened(msgspec.Struct, frozen=True):
    """An offer was looked at."""

    outcome: Admitted | Refusal


class _Returned(msgspec.Struct, frozen=True):
    """The caller is back in its call; ``seen`` is the last event it knows."""

    call: str
    log: list[LogEntry]
    seen: int


Letter = ClientFrame | Envelope | _Gone | _Opened | _Returned


class SignalingActor:
    """Serves one socket until it is closed or its call has ended."""

    def __init__(self, socket: CallerSocket, *, bus: Bus, doorkeeper: Doorkeeper) -> None:
        self._socket = socket
        self._bus = bus
        self._doorkeeper = doorkeeper
        self._mailbox: Mailbox[Letter] = Mailbox()
        self._state = SocketState.OPEN
        self._call = ""
        self._id = doorkeeper.new_id()
        self._call_sid: str | None = None
        self._sdp = ""
        #: True for a client that asked for events; ``_sent`` is the last one it was sent.
        self._events = False
        self._sent = 0
        #: The token with which the caller can come back, and with which it can offer again.
        self._ticket = ""
        self._candidates: list[IceCandidate] = []
        self._taken_candidates = 0
        self._reporter: Reporter | None = None
        self._following = anyio.CancelScope()
        self._tasks: TaskGroup

    async def run(self) -> None:
        """Serve the socket."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._read_socket)
            try:
                await self._serve()
            except SocketClosed:
                await self._part()
            self._tasks.cancel_scope.cancel()

    async def _serve(self) -> None:
        while True:
            match await self._mailbox.get():
                case _Gone():
                    await self._part()
                    return
                case _Opened(outcome=outcome):
                    await self._settle(outcome)
                case _Returned() as returned:
                    await self._welcome_back(returned)
                case Envelope() as order:
                    if await self._obey(order):
                        return
                case frame:
                    try:
                        await self._take(frame)
                    except Refusal as refusal:
                        await self._refuse(refusal)

    async def _read_socket(self) -> None:
        frames = FrameReader(self._socket)
        try:
            while True:
                await self._mailbox.put_soon(await frames.receive())
        except SocketClosed:
            await self._mailbox.put_soon(_Gone())

    # ── frames of the caller ───────────────────────────────────────────────────────────────────────────────────

    async def _take(self, frame: ClientFrame) -> None:
        if frame.session and frame.session != self._call and not isinstance(frame, Resume):
            raise Refusal(Reason.SESSION_NOT_FOUND, "There is no such session on this connection.")
        if not isinstance(frame, ALLOWED[self._state]):
            kind = frame.__struct_config__.tag
            raise Refusal(
                Reason.INVALID_STATE,
                f"A frame of type {kind!r} makes no sense now: {_EXPLAINED[self._state]}",
                state=self._state.value,
            )
        match frame:
            case Offer():
                await self._take_offer(frame)
            case Resume():
                self._take_resume(frame)
            case IceCandidate():
                await self._take_candidate(frame)
            case Close() if self._state in {SocketState.OPEN, SocketState.OPENING}:
                await self._socket.close(CloseCode.NORMAL, "closed")
            case Close():
                self._report(ev.CallerHungUp())
            case Text(text=text):
                await self._pass_on(subjects.agent(self._call), CallerTyped(text))
            case Dtmf(digit=digit):
                await self._pass_on(subjects.agent(self._call), CallerDialed(digit))
            case Info(name=name, data=data):
                await self._pass_on(subjects.agent(self._call), InfoReceived(name, data))

    async def _take_offer(self, offer: Offer) -> None:
        if self._state is not SocketState.OPEN:
            self._take_second_offer(offer)
            return
        grant, profile = self._doorkeeper.check(offer, origin=self._socket.origin)
        call = self._doorkeeper.new_id()
        self._state = SocketState.OPENING
        self._sdp, self._call_sid, self._events = offer.sdp, offer.call_sid, offer.events

        async def admit() -> None:
            # Orders of a new call may come before the outcome: listen first.
            outcome: Admitted | Refusal
            try:
                await self._tasks.start(self._follow, call)
                await self._renew_ticket(call)
                outcome = await self._doorkeeper.admit(offer, call, grant, profile)
                if outcome.repeated:
                    self._following.cancel()
                    await self._tasks.start(self._follow, outcome.call)
                    await self._renew_ticket(outcome.call)
            except Refusal as refusal:
                outcome = refusal
            await self._mailbox.put_soon(_Opened(outcome))

        self._tasks.start_soon(admit)

    def _take_second_offer(self, offer: Offer) -> None:
        """In a call: the same offer once more gets the same answer; one of a new connection brings the caller back.

        A new connection has a key of its own. An offer with the old key asks for an ICE restart, which there is not.
        """
        if offer.auth_token != self._ticket:
            self._doorkeeper.verify(offer, origin=self._socket.origin)
        if offer.sdp == self._sdp or (offer.call_sid is not None and offer.call_sid == self._call_sid):
            self._report(ev.OfferRepeated())
            return
        if not offer.session:
            raise Refusal(
                Reason.INVALID_STATE,
                "This connection has a call already. Name its sessionId, or open a new connection for a new call.",
                state=self._state.value,
            )
        keys = {mark.value for mark in check_offer(offer.sdp).fingerprints}
        if self._sdp and keys & {mark.value for mark in check_offer(self._sdp).fingerprints}:
            raise Refusal(
                Reason.USE_REATTACH,
                "ICE cannot be restarted here. Offer a new RTCPeerConnection for this session instead.",
                state=self._state.value,
            )
        self._sdp = offer.sdp
        self._taken_candidates = 0
        self._report(ev.Reoffered(sdp=offer.sdp))

    async def _renew_ticket(self, call: str) -> None:
        """A client that asks for events can come back to its call."""
        if self._events:
            self._ticket = await self._doorkeeper.issue_return_ticket(call)

    def _take_resume(self, resume: Resume) -> None:
        self._state = SocketState.OPENING
        self._events = True

        async def readmit() -> None:
            letter: _Opened | _Returned
            try:
                call_log = await self._doorkeeper.readmit(resume)
                await self._tasks.start(self._follow, resume.session)
                await self._renew_ticket(resume.session)
                letter = _Returned(resume.session, call_log, resume.seq)
            except Refusal as refusal:
                letter = _Opened(refusal)
            await self._mailbox.put_soon(letter)

        self._tasks.start_soon(readmit)

    async def _take_candidate(self, frame: IceCandidate) -> None:
        self._taken_candidates += 1
        if self._taken_candidates > MOST_CANDIDATES:
            if self._taken_candidates > 2 * MOST_CANDIDATES:
                await self._socket.close(CloseCode.RATE_LIMITED, "too many candidates")
            raise Refusal(
                Reason.TOO_MANY_CANDIDATES, f"At most {MOST_CANDIDATES} candidates are taken; this one was ignored."
            )
        if self._state is SocketState.ANSWERED:
            await self._send_candidate(frame)
        else:
            self._candidates.append(frame)

    async def _send_candidate(self, frame: IceCandidate) -> None:
        message = AddCandidate(frame.candidate, frame.sdp_mid, frame.sdp_m_line_index)
        await self._pass_on(subjects.media(self._call), message)

    async def _pass_on(self, subject: str, body: Aside) -> None:
        try:
            await self._bus.publish(subject, encode(Envelope(call=self._call, body=body)))
        except BusAway:
            log.warning("frame lost, the bus is away", extra={"call": self._call})

    # ── orders of the session ──────────────────────────────────────────────────────────────────────────────────

    async def _settle(self, outcome: Admitted | Refusal) -> None:
        if isinstance(outcome, Refusal):
            self._following.cancel()
            self._state = SocketState.OPEN
            self._candidates.clear()
            self._taken_candidates = 0
            await self._refuse(outcome)
            return
        self._call = self._socket.session = outcome.call
        if self._state is SocketState.OPENING:
            self._state = SocketState.OFFERED
        if outcome.repeated:
            self._report(ev.OfferRepeated())

    async def _welcome_back(self, returned: _Returned) -> None:
        """The caller gets the events it missed, then those to come; its other socket is left."""
        entries = returned.log
        self._call = self._socket.session = returned.call
        self._state = SocketState.ANSWERED
        state = fold(returned.call, entries).state
        self._sent = entries[-1].seq
        await self._socket.send(encode_resumed(returned.call, state, self._sent, self._ticket))
        for seq, announce in announced(returned.call, entries, after=returned.seen):
            await self._socket.send(encode_event(returned.call, announce.event, seq, announce.data))
        self._report(ev.CallerReturned(socket=self._id))

    async def _obey(self, order: Envelope) -> bool:
        """Carry out an order of the session; True when it was the last."""
        match order.body:
            case do.SendAnswer(sdp=sdp):
                await self._socket.send(encode_answer(order.call, sdp, resume_token=self._ticket or None))
                self._state = SocketState.ANSWERED
                self._call = self._socket.session = order.call
                for candidate in self._candidates:
                    await self._send_candidate(candidate)
                self._candidates.clear()
            case ShowCandidate(candidate=candidate, sdp_mid=mid, sdp_m_line_index=index):
                await self._socket.send(encode_candidate(order.call, candidate, mid, index))
            case do.Announce(event=event, data=data):
                if self._events and order.seq > self._sent:
                    await self._socket.send(encode_event(order.call, event, order.seq, data))
            case do.SendError(reason=reason, message=message):
                await self._socket.send(encode_error(order.call, Refusal(Reason(reason), message)))
            case do.LeaveSocket(to=to) if to != self._id:
                await self._socket.close(CloseCode.REPLACED, "the call goes on with another connection")
                return True
            case do.EndSignaling(reason=reason):
                await self._socket.close(CloseCode.NORMAL, reason)
                return True
        return False

    async def _follow(self, call: str, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Listen to the session of ``call``, and be ready to report to it."""
        with anyio.CancelScope() as self._following:
            await self._follow_call(call, task_status)

    async def _follow_call(self, call: str, task_status: anyio.abc.TaskStatus[None]) -> None:
        subject = subjects.signaling(call)
        async with (
            self._bus.subscribe(subject) as stream,
            open_reporter(self._bus, call, f"socket {self._id}") as self._reporter,
        ):
            task_status.started()
            await self._collect(Inbox(self._bus, stream, subject=subject, kinds=TO_SIGNALING, call=call))

    async def _collect(self, orders: Inbox) -> None:
        async for order in orders:
            await self._mailbox.put_soon(order)

    def _report(self, fact: CallEvent) -> None:
        assert self._reporter is not None
        self._reporter.report(fact)

    async def _refuse(self, refusal: Refusal) -> None:
        await self._socket.send(encode_error(self._socket.session, refusal))
        if refusal.reason.value.startswith(("token_", "origin_")):
            await self._socket.close(CloseCode.UNAUTHORIZED, refusal.message)

    async def _part(self) -> None:
        """The socket is gone: the session is told, and decides."""
        if self._reporter is None or self._state is SocketState.OPEN:
            return
        self._report(ev.CallerDropped())
        with anyio.move_on_after(FAREWELL):
            await self._reporter.wait_confirmed()


_EXPLAINED = {
    SocketState.OPEN: "there is no call on this connection yet, send an offer first.",
    SocketState.OPENING: "the offer is still being looked at.",
    SocketState.OFFERED: "the call is being set up.",
    SocketState.ANSWERED: "the call is up.",
}
