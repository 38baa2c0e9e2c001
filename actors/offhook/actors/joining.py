"""The joining actor: one page's socket of the session protocol on one side, the call's session on the other (S2-S4).

The other face of what the signaling actor does: here the token comes first, and the offer is ours. It holds no rule
about calls either. There is no way back to a call with a new socket in this protocol: a socket that is closed in good
order is a visitor who has left; one that broke leaves the call to its audio.
"""

import logging
from enum import StrEnum

import anyio
import msgspec
from anyio.abc import TaskGroup

from offhook.actors.call_line import CallLine
from offhook.actors.caller_socket import CallerSocket, CloseCode, FrameReader, SocketClosed
from offhook.actors.candidates import Candidates
from offhook.actors.claims import UNAVAILABLE
from offhook.actors.doorkeeper import Doorkeeper
from offhook.actors.mailbox import Mailbox
from offhook.actors.ports import Bus, BusAway
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.join import (
    Answer,
    Auth,
    Candidate,
    HangUp,
    JoinFrame,
    decode_join_frame,
    encode_announcement,
    encode_offer,
    encode_own_candidate,
    encode_refusal,
    session_of,
)
from offhook.protocol.messages import AddCandidate, Envelope, ShowCandidate
from offhook.protocol.sdp import check_answer

log = logging.getLogger("offhook.joining")

#: Seconds in which the first frame must bring a token.
AUTH_SECONDS = 10.0
#: Close codes with which a page goes away in good order.
LEFT = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})


class JoinState(StrEnum):
    """What a socket is good for."""

    #: A token is expected.
    NEW = "new"
    #: The token is being looked at, or there is no offer yet.
    JOINING = "joining"
    #: Our offer was sent.
    OFFERED = "offered"
    #: The page has answered.
    ANSWERED = "answered"


#: Which frames make sense in which state.
ALLOWED: dict[JoinState, tuple[type[JoinFrame], ...]] = {
    JoinState.NEW: (Auth, HangUp),
    JoinState.JOINING: (HangUp,),
    JoinState.OFFERED: (Answer, Candidate, HangUp),
    JoinState.ANSWERED: (Candidate, HangUp),
}


class _Gone(msgspec.Struct, frozen=True):
    """The socket is closed."""

    code: int


class _Admitted(msgspec.Struct, frozen=True):
    """The token opened the call, or did not."""

    refusal: Refusal | None


class _Late(msgspec.Struct, frozen=True):
    """No token came in time."""


Letter = JoinFrame | Envelope | _Gone | _Admitted | _Late


class JoiningActor:
    """Serves one socket until it is closed or its call has ended."""

    def __init__(self, socket: CallerSocket, *, bus: Bus, doorkeeper: Doorkeeper) -> None:
        self._socket = socket
        self._bus = bus
        self._doorkeeper = doorkeeper
        self._mailbox: Mailbox[Letter] = Mailbox()
        self._state = JoinState.NEW
        self._id = doorkeeper.new_id()
        self._call = session_of(socket.path)
        self._candidates = Candidates(socket)
        self._line: CallLine | None = None
        self._tasks: TaskGroup

    async def run(self) -> None:
        """Serve the socket."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._read_socket)
            self._tasks.start_soon(self._hurry)
            try:
                await self._serve()
            except SocketClosed as closed:
                await self._part(closed.code)
            self._tasks.cancel_scope.cancel()

    async def _serve(self) -> None:
        while True:
            match await self._mailbox.get():
                case _Gone(code=code):
                    await self._part(code)
                    return
                case _Late() if self._state is JoinState.NEW:
                    await self._refuse(Refusal(Reason.TOKEN_MISSING, "Auth token required"))
                    return
                case _Late():
                    pass
                case _Admitted() as outcome:
                    if outcome.refusal is not None:
                        await self._refuse(outcome.refusal)
                        await self._socket.close(CloseCode.TRY_AGAIN, outcome.refusal.reason.value)
                        return
                case Envelope() as order:
                    if await self._obey(order):
                        return
                case frame:
                    try:
                        await self._take(frame)
                    except Refusal as refusal:
                        await self._refuse(refusal)

    async def _read_socket(self) -> None:
        frames = FrameReader(self._socket, decode=decode_join_frame, encode=encode_refusal)
        try:
            while True:
                await self._mailbox.put_soon(await frames.receive())
        except SocketClosed as closed:
            await self._mailbox.put_soon(_Gone(closed.code))

    async def _hurry(self) -> None:
        await anyio.sleep(AUTH_SECONDS)
        await self._mailbox.put_soon(_Late())

    # ── frames of the page ─────────────────────────────────────────────────────────────────────────────────────

    async def _take(self, frame: JoinFrame) -> None:
        if not isinstance(frame, ALLOWED[self._state]):
            kind = frame.__struct_config__.tag
            raise Refusal(
                Reason.INVALID_STATE,
                f"A frame of type {kind!r} makes no sense now: send auth, wait for the offer, then answer it once.",
                state=self._state.value,
            )
        match frame:
            case Auth(token=token):
                self._state = JoinState.JOINING
                self._tasks.start_soon(self._join, token)
            case Answer(sdp=sdp):
                check_answer(sdp)
                self._state = JoinState.ANSWERED
                self._to_call.report(ev.OfferAnswered(sdp=sdp))
                await self._candidates.pass_on(self._to_call, self._call)
            case Candidate():
                await self._take_candidate(frame)
            case HangUp() if self._line is None:
                await self._socket.close(CloseCode.NORMAL, "closed")
            case HangUp():
                self._line.report(ev.CallerHungUp())

    async def _join(self, token: str) -> None:
        refusal: Refusal | None = None
        try:
            grant, invitation, profile = await self._doorkeeper.check_join(
                self._call, token, origin=self._socket.origin
            )
            # Orders of a new call may come before the outcome: listen first.
            line = CallLine(self._bus, self._call, socket=self._id, take=self._mailbox.put_soon)
            await self._tasks.start(line.run)
            self._line = line
            try:
                await self._doorkeeper.join(self._call, grant, invitation, profile)
            except Refusal:
                line.cut()
                self._line = None
                raise
        except Refusal as refused:
            refusal = refused
        except BusAway:
            refusal = Refusal(Reason.UNAVAILABLE, UNAVAILABLE)
        await self._mailbox.put_soon(_Admitted(refusal))

    async def _take_candidate(self, frame: Candidate) -> None:
        await self._candidates.take(AddCandidate(frame.candidate, frame.sdp_mid, frame.sdp_m_line_index))
        if self._state is JoinState.ANSWERED:
            await self._candidates.pass_on(self._to_call, self._call)

    # ── orders of the session ──────────────────────────────────────────────────────────────────────────────────

    async def _obey(self, order: Envelope) -> bool:
        """Carry out an order of the session; True when it was the last."""
        match order.body:
            case do.SendOffer(sdp=sdp) if self._state is JoinState.JOINING:
                self._state = JoinState.OFFERED
                await self._socket.send(encode_offer(sdp))
            case ShowCandidate(candidate=candidate, sdp_mid=mid, sdp_m_line_index=index):
                await self._socket.send(encode_own_candidate(candidate, mid, index))
            case do.Announce() as announce:
                if (frame := encode_announcement(announce)) is not None:
                    await self._socket.send(frame)
            case do.SendError(reason=reason, message=message):
                await self._socket.send(encode_refusal(Refusal(Reason(reason), message)))
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
        await self._socket.send(encode_refusal(refusal))
        if refusal.reason.value.startswith(("token_", "origin_")):
            await self._socket.close(CloseCode.UNAUTHORIZED, refusal.message)

    async def _part(self, code: int) -> None:
        """The socket is gone: the session is told, and decides."""
        if self._line is not None:
            await self._line.part(ev.CallerHungUp() if code in LEFT else ev.CallerDropped())
