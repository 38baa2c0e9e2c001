"""The signaling actor: one caller's socket on one side, the call's session on the other.

It turns frames into messages and back and holds no rule about calls; which frames make sense when is told by
``socket_state``.
"""

import contextlib
import logging

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.call_line import CallLine
from offhook.actors.caller_socket import CallerSocket, CloseCode, FrameReader, SocketClosed
from offhook.actors.candidates import Candidates
from offhook.actors.claims import UNAVAILABLE
from offhook.actors.doorkeeper import Admitted, Doorkeeper
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import Bus, BusAway, Stored
from offhook.actors.socket_state import SocketState, require
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry, announced, fold
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.messages import (
    AddCandidate,
    CallerDialed,
    CallerTyped,
    Envelope,
    InfoReceived,
    ShowCandidate,
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
    decode_frame,
    encode_answer,
    encode_candidate,
    encode_error,
    encode_event,
    encode_resumed,
)

log = logging.getLogger("offhook.signaling")


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
    #: What it came back with.
    ticket: Stored


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
        self._candidates = Candidates(socket)
        #: Orders that came before the caller was told what it had missed.
        self._early: list[Envelope] = []
        self._line: CallLine | None = None
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
                    if await self._welcome_back(returned):
                        return
                case Envelope() as order if self._state is SocketState.RETURNING:
                    self._early.append(order)
                case Envelope() as order:
                    if await self._obey(order):
                        return
                case frame:
                    try:
                        await self._take(frame)
                    except Refusal as refusal:
                        await self._refuse(refusal)

    async def _read_socket(self) -> None:
        frames = FrameReader(
            self._socket, decode=decode_frame, encode=lambda refusal: encode_error(self._socket.session, refusal)
        )
        try:
            while True:
                await self._mailbox.put_soon(await frames.receive())
        except SocketClosed:
            await self._mailbox.put_soon(_Gone())

    # ── frames of the caller ───────────────────────────────────────────────────────────────────────────────────

    async def _take(self, frame: ClientFrame) -> None:
        if frame.session and frame.session != self._call and not isinstance(frame, Resume):
            raise Refusal(Reason.SESSION_NOT_FOUND, "There is no such session on this connection.")
        require(frame, self._state)
        match frame:
            case Offer():
                await self._take_offer(frame)
            case Resume():
                self._take_resume(frame)
            case IceCandidate():
                await self._take_candidate(frame)
            case Close() if self._state in {SocketState.OPEN, SocketState.OPENING, SocketState.RETURNING}:
                await self._socket.close(CloseCode.NORMAL, "closed")
            case Close():
                self._to_call.report(ev.CallerHungUp())
            case Text(text=text):
                await self._to_call.pass_on(subjects.agent(self._call), CallerTyped(text))
            case Dtmf(digit=digit):
                await self._to_call.pass_on(subjects.agent(self._call), CallerDialed(digit))
            case Info(name=name, data=data):
                await self._to_call.pass_on(subjects.agent(self._call), InfoReceived(name, data))

    async def _take_offer(self, offer: Offer) -> None:
        if self._state is not SocketState.OPEN:
            self._take_second_offer(offer)
            return
        grant = self._doorkeeper.check(offer, origin=self._socket.origin)
        call = self._doorkeeper.new_id()
        self._state = SocketState.OPENING
        self._sdp, self._call_sid, self._events = offer.sdp, offer.call_sid, offer.events

        async def admit() -> None:
            # Orders of a new call may come before the outcome: listen first.
            outcome: Admitted | Refusal
            try:
                profile = await self._doorkeeper.choose(offer, grant)
                await self._open_line(call)
                outcome = await self._doorkeeper.admit(offer, call, grant, profile)
                if outcome.repeated:
                    await self._open_line(outcome.call)
            except Refusal as refusal:
                outcome = refusal
            except BusAway:
                outcome = Refusal(Reason.UNAVAILABLE, UNAVAILABLE)
            if isinstance(outcome, Refusal):
                await self._withdraw_ticket()
            await self._mailbox.put_soon(_Opened(outcome))

        self._tasks.start_soon(admit)

    def _take_second_offer(self, offer: Offer) -> None:
        """In a call: the same offer once more gets the same answer; one of a new connection brings the caller back.

        A new connection has a key of its own. An offer with the old key asks for an ICE restart, which there is not.
        """
        if offer.auth_token != self._ticket:
            self._doorkeeper.verify(offer, origin=self._socket.origin)
        if offer.sdp == self._sdp or (offer.call_sid is not None and offer.call_sid == self._call_sid):
            self._to_call.report(ev.OfferRepeated())
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
        self._candidates.begin_anew()
        self._to_call.report(ev.Reoffered(sdp=offer.sdp))

    async def _open_line(self, call: str) -> None:
        """Be ready for what the session of ``call`` says. A client that asks for events can come back to it."""
        if self._line is not None:
            self._line.cut()
        line = CallLine(self._bus, call, socket=self._id, take=self._mailbox.put_soon)
        await self._tasks.start(line.run)
        self._line = line
        await self._withdraw_ticket()
        if self._events:
            self._ticket = await self._doorkeeper.issue_return_ticket(call)

    async def _withdraw_ticket(self) -> None:
        """The call that it was for did not come about."""
        ticket, self._ticket = self._ticket, ""
        if ticket:
            await self._doorkeeper.withdraw(ticket)

    def _take_resume(self, resume: Resume) -> None:
        self._state = SocketState.RETURNING
        self._events = True

        async def readmit() -> None:
            letter: _Opened | _Returned
            try:
                ticket = await self._doorkeeper.check_return(resume)
                # Listen first, then read what was: nothing is missed in between.
                await self._open_line(resume.session)
                call_log = await self._doorkeeper.readmit(ticket)
                letter = _Returned(resume.session, call_log, resume.seq, ticket)
            except Refusal as refusal:
                letter = _Opened(refusal)
            except BusAway:
                letter = _Opened(Refusal(Reason.UNAVAILABLE, UNAVAILABLE))
            if isinstance(letter, _Opened):
                await self._withdraw_ticket()
            await self._mailbox.put_soon(letter)

        self._tasks.start_soon(readmit)

    async def _take_candidate(self, frame: IceCandidate) -> None:
        await self._candidates.take(AddCandidate(frame.candidate, frame.sdp_mid, frame.sdp_m_line_index))
        if self._state is SocketState.ANSWERED:
            await self._candidates.pass_on(self._to_call, self._call)

    # ── orders of the session ──────────────────────────────────────────────────────────────────────────────────

    async def _settle(self, outcome: Admitted | Refusal) -> None:
        if isinstance(outcome, Refusal):
            if self._line is not None:
                self._line.cut()
            self._line = None
            self._state = SocketState.OPEN
            self._early.clear()
            self._candidates.drop()
            await self._refuse(outcome)
            return
        self._call = self._socket.session = outcome.call
        if self._state is SocketState.OPENING:
            self._state = SocketState.OFFERED
        if outcome.repeated:
            self._to_call.report(ev.OfferRepeated())

    async def _welcome_back(self, returned: _Returned) -> bool:
        """The caller gets the events it missed, then those to come; its other socket is left. True: all is said."""
        entries = returned.log
        self._call = self._socket.session = returned.call
        self._state = SocketState.ANSWERED
        state = fold(returned.call, entries).state
        self._sent = entries[-1].seq
        await self._socket.send(encode_resumed(returned.call, state, self._sent, self._ticket))
        self._tasks.start_soon(self._spend, returned.ticket)
        for seq, announce in announced(returned.call, entries, after=returned.seen):
            await self._socket.send(encode_event(returned.call, announce.event, seq, announce.data))
        self._to_call.report(ev.CallerReturned(socket=self._id))
        early, self._early = self._early, []
        for order in early:
            if await self._obey(order):
                return True
        return False

    async def _spend(self, ticket: Stored) -> None:
        """The ticket was good for one way back, once the caller knows of it."""
        with contextlib.suppress(SocketClosed):
            await self._socket.wait_received()
            await self._doorkeeper.spend(ticket)

    async def _obey(self, order: Envelope) -> bool:
        """Carry out an order of the session; True when it was the last."""
        match order.body:
            case do.SendAnswer(sdp=sdp):
                await self._socket.send(encode_answer(order.call, sdp, resume_token=self._ticket or None))
                self._state = SocketState.ANSWERED
                self._call = self._socket.session = order.call
                await self._candidates.pass_on(self._to_call, self._call)
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

    @property
    def _to_call(self) -> CallLine:
        """The line to the call; frames that need it are only allowed when there is one."""
        assert self._line is not None
        return self._line

    async def _refuse(self, refusal: Refusal) -> None:
        await self._socket.send(encode_error(self._socket.session, refusal))
        if refusal.reason.value.startswith(("token_", "origin_")):
            await self._socket.close(CloseCode.UNAUTHORIZED, refusal.message)

    async def _part(self) -> None:
        """The socket is gone: the session is told, and decides."""
        if self._line is not None:
            await self._line.part(ev.CallerDropped())
