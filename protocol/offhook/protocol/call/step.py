"""``step``: call x event -> call', effects. Pure; the table decides, this file fills in."""

from collections.abc import Callable
from typing import Any

import msgspec

from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.call import recording as recordings
from offhook.protocol.call.memory import Memory, remember
from offhook.protocol.call.recording import Recording
from offhook.protocol.call.states import CallState, EndReason
from offhook.protocol.call.table import ANSWER_WITHIN, RETURNS, TABLE, TIMEOUTS, Edge, Table
from offhook.protocol.errors import OffhookError, Reason
from offhook.protocol.quality import Quality


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one call: the fold of its log."""

    id: str
    state: CallState = CallState.CREATED
    #: Grows by one with each change of state; timers carry it.
    epoch: int = 0
    #: When the present state was entered, seconds since the epoch.
    entered_at: float = 0.0
    created_at: float = 0.0
    answered_at: float | None = None
    ended_at: float | None = None
    offer: ev.Offered | None = None
    #: SDP answer (or our offer) and voice node, once media is prepared; None again when the node was lost.
    answer: str | None = None
    node: str | None = None
    #: Number of the attempt to have a voice node: the reports of earlier ones count for nothing.
    opening: int = 1
    #: The caller's newest offer of new media, while it has no answer.
    reoffer: str | None = None
    #: When that was taken, seconds since the epoch.
    reoffered_at: float = 0.0
    #: The caller's answer to our offer.
    reply: str | None = None
    #: The state that was left for ``reconnecting``.
    left: CallState | None = None
    reason: EndReason | None = None
    #: The ``Reason`` word behind ``failed``.
    failure: str | None = None
    #: Number of transcript lines.
    lines: int = 0
    memory: Memory = Memory()
    recording: Recording | None = None
    #: How its audio fared, as far as it was told.
    quality: Quality | None = None

    @property
    def we_offer(self) -> bool:
        """Whether the caller left the offer to us (S2)."""
        return self.offer is not None and not self.offer.sdp

    @property
    def duration(self) -> float:
        """Seconds between answer and end; 0 for a call that was never answered or still goes on."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.answered_at)


_WITH_AGENT = frozenset({CallState.ANSWERED, CallState.HELD, CallState.RECONNECTING})


class NoEdge(OffhookError):
    """The table has no row for this event in this state; nothing has changed."""

    def __init__(self, state: CallState, event: ev.Event) -> None:
        super().__init__(f"no edge for {type(event).__name__} in state {state.value}")
        self.state = state
        self.event = event


class StaleTimer(NoEdge):
    """A timer of an earlier epoch fired; nothing has changed."""


class OtherNode(NoEdge):
    """The event is of another voice node than the one that carries the call; nothing has changed."""


class DoubleLine(NoEdge):
    """A transcript line with this number stands in the log already; nothing has changed."""


def deadline(call: Call) -> float | None:
    """When the present state times out, seconds since the epoch; None once the call has ended."""
    if call.state is CallState.ENDED:
        return None
    if call.state is CallState.ANSWERED:
        assert call.answered_at is not None and call.offer is not None
        return call.answered_at + call.offer.max_duration
    return call.entered_at + TIMEOUTS[call.state]


def answer_due(call: Call) -> float | None:
    """When the voice node counts as lost if the caller's new offer has no answer by then, seconds since the epoch."""
    if call.reoffer is None or call.node is None or call.state not in _WITH_AGENT:
        return None
    return call.reoffered_at + ANSWER_WITHIN


def step(
    call: Call, event: ev.CallEvent, at: float, *, table: Table = TABLE, returns: dict[CallState, Edge] = RETURNS
) -> tuple[Call, list[do.CallEffect]]:
    """Apply ``event``, taken at ``at`` (seconds since the epoch), to ``call``.

    Returns the new call and the effects in the order they are to be posted.

    Raises ``NoEdge`` (or its kinds ``StaleTimer``, ``DoubleLine``) when the event changes nothing in this state.
    """
    after, edge = take(call, event, at, table=table, returns=returns)
    made = (_MAKE[kind](call, after, event) for kind in edge.effects)
    return after, [effect for effect in made if effect is not None]


def take(
    call: Call, event: ev.CallEvent, at: float, *, table: Table = TABLE, returns: dict[CallState, Edge] = RETURNS
) -> tuple[Call, Edge]:
    """The call after ``event``, and the row that led there: ``step`` for those who post no effects. Raises as it."""
    edge = table.get((call.state, type(event)))
    if edge is None:
        raise NoEdge(call.state, event)
    _check(call, event)
    if edge.to is None:
        assert call.left is not None
        edge = returns[call.left]
    assert edge.to is not None
    return _enter(_learn(call, event, at), edge, event, at), edge


def _check(call: Call, event: ev.CallEvent) -> None:
    """Raise for an event that has a row and is not meant for the call as it is now."""
    match event:
        case ev.TimedOut(state=state, epoch=epoch) if epoch != call.epoch or state is not call.state:
            raise StaleTimer(call.state, event)
        case ev.Said(line=line) if line != call.lines + 1:
            raise DoubleLine(call.state, event)
        case ev.VoiceLost(node=node) if node != call.node:
            raise OtherNode(call.state, event)
        case ev.MediaConnected() if call.node is None and call.state is CallState.RECONNECTING:
            raise OtherNode(call.state, event)


def fold(call_id: str, entries: list[ev.LogEntry]) -> Call:
    """Rebuild a call from its log."""
    call = Call(id=call_id)
    for entry in entries:
        call, _ = take(call, entry.event, entry.at)
    return call


def announced(call_id: str, entries: list[ev.LogEntry], *, after: int) -> list[tuple[int, do.Announce]]:
    """What clients were told since entry ``after`` of the log, each with the entry it followed from (G11)."""
    call, found = Call(id=call_id), list[tuple[int, do.Announce]]()
    for entry in entries:
        call, effects = step(call, entry.event, entry.at)
        if entry.seq > after:
            found += [(entry.seq, effect) for effect in effects if isinstance(effect, do.Announce)]
    return found


def _learn(call: Call, event: ev.CallEvent, at: float) -> Call:
    """Keep the facts that ``event`` carries, apart from the change of state."""
    match event:
        case ev.Offered():
            return msgspec.structs.replace(call, offer=event, created_at=at)
        case ev.MediaPrepared(sdp=sdp, node=node):
            return msgspec.structs.replace(call, answer=sdp, node=node, reoffer=None)
        case ev.Reoffered(sdp=sdp):
            # An answer to the offer before it would be none to this one.
            opening = call.opening + (call.node is None)
            return msgspec.structs.replace(call, reoffer=sdp, reoffered_at=at, opening=opening)
        case ev.ReofferRefused():
            return msgspec.structs.replace(call, reoffer=None)
        case ev.OfferAnswered(sdp=sdp):
            return msgspec.structs.replace(call, reply=sdp)
        case ev.Said(line=line):
            return msgspec.structs.replace(call, lines=line, memory=remember(call.memory, event))
        case ev.MindKept() | ev.ToolCalled() | ev.ToolReturned():
            return msgspec.structs.replace(call, memory=remember(call.memory, event))
        case ev.MediaFailed(reason=reason) | ev.AgentFailed(reason=reason):
            return msgspec.structs.replace(call, failure=reason)
        case ev.RecordingBegan():
            return msgspec.structs.replace(call, recording=recordings.begin(call.recording, event, at))
        case ev.RecordingSaved():
            return msgspec.structs.replace(call, recording=recordings.save(call.recording, event))
        case ev.AudioMeasured(quality=quality):
            return msgspec.structs.replace(call, quality=quality)
        case ev.MediaLost():
            return msgspec.structs.replace(call, left=call.state)
        case ev.VoiceLost():
            return _lose_voice(call)
        case ev.TimedOut(state=CallState.CONNECTING):
            return msgspec.structs.replace(call, failure=Reason.MEDIA_TIMEOUT.value)
        case _:
            return call


def _lose_voice(call: Call) -> Call:
    lost = msgspec.structs.replace(call, node=None, answer=None, opening=call.opening + 1)
    match call.state:
        case CallState.ANSWERED | CallState.HELD:
            return msgspec.structs.replace(lost, left=call.state)
        case CallState.RECONNECTING:
            return lost
        case _:
            return msgspec.structs.replace(lost, failure=Reason.MEDIA_FAILED.value)


def _enter(call: Call, edge: Edge, event: ev.CallEvent, at: float) -> Call:
    """Change the state as the row says."""
    assert edge.to is not None
    if edge.to is call.state:
        return call
    changes: dict[str, Any] = {"state": edge.to, "epoch": call.epoch + 1, "entered_at": at}
    if call.reason is None and edge.reason is not None:
        changes["reason"] = event.reason if isinstance(event, ev.AgentCompleted) else edge.reason
    if edge.to is CallState.ANSWERED and call.answered_at is None:
        changes["answered_at"] = at
    if edge.to in {CallState.ENDING, CallState.ENDED} and call.ended_at is None:
        changes["ended_at"] = at
    return msgspec.structs.replace(call, **changes)


# ── filling in the effects ────────────────────────────────────────────────────────────────────────────────────────


def open_media(call: Call, sdp: str) -> do.OpenMedia:
    """The order that opens the media of a call for an offer of its caller."""
    offer = call.offer
    assert offer is not None
    return do.OpenMedia(
        sdp=sdp,
        agent=offer.agent,
        version=offer.version,
        mode=offer.mode,
        variables=offer.variables,
        caller=offer.caller,
        variant=offer.variant,
        opening=call.opening,
        memory=call.memory,
        lines=call.lines,
        quality=call.quality,
    )


def _open_media(_call: Call, after: Call, event: ev.CallEvent) -> do.OpenMedia | None:
    sdp = event.sdp if isinstance(event, ev.Offered) else after.reoffer
    return open_media(after, sdp) if sdp is not None and after.node is None else None


def _close_media(_call: Call, after: Call, event: ev.CallEvent) -> do.CloseMedia:
    return do.CloseMedia(before=after.opening if isinstance(event, ev.VoiceLost) else 0)


def _reopen_media(_call: Call, after: Call, event: ev.CallEvent) -> do.ReopenMedia | None:
    assert isinstance(event, ev.Reoffered)
    return None if after.node is None else do.ReopenMedia(sdp=event.sdp)


def _leave_socket(_call: Call, _after: Call, event: ev.CallEvent) -> do.LeaveSocket:
    assert isinstance(event, ev.CallerReturned)
    return do.LeaveSocket(to=event.socket)


def _send_answer(_call: Call, after: Call, _event: ev.CallEvent) -> do.SendAnswer | None:
    return None if after.answer is None or after.we_offer else do.SendAnswer(sdp=after.answer)


def _send_offer(_call: Call, after: Call, _event: ev.CallEvent) -> do.SendOffer | None:
    return do.SendOffer(sdp=after.answer) if after.answer is not None and after.we_offer else None


def _take_answer(_call: Call, _after: Call, event: ev.CallEvent) -> do.TakeAnswer:
    assert isinstance(event, ev.OfferAnswered)
    return do.TakeAnswer(sdp=event.sdp)


def _send_error(_call: Call, _after: Call, event: ev.CallEvent) -> do.SendError:
    if isinstance(event, ev.MediaFailed | ev.AgentFailed | ev.ReofferRefused):
        return do.SendError(reason=event.reason, message=event.message)
    if isinstance(event, ev.VoiceLost):
        return do.SendError(reason=Reason.MEDIA_FAILED.value, message=ev.VOICE_IS_GONE)
    return do.SendError(
        reason=Reason.MEDIA_TIMEOUT.value,
        message="No audio connection came up within 10 seconds. Check the network or firewall, then call again.",
    )


def _announce(before: Call, after: Call, event: ev.CallEvent) -> do.Announce:
    match event:
        case ev.Said(role=role, text=text, line=line, interrupted=interrupted):
            data: dict[str, do.Scalar] = {"role": role, "text": text, "line": line, "interrupted": interrupted}
            return do.Announce(event="transcript", data=data)
        case ev.FloorPassed(floor=floor):
            return do.Announce(event=floor)
        case ev.InfoSent(name=name, data=value):
            return do.Announce(event="info", data={"name": name, "data": value})
        case _:
            return _announce_state(before, after)


def _announce_state(before: Call, after: Call) -> do.Announce:
    came_back = before.state in {CallState.HELD, CallState.RECONNECTING}
    if after.state is CallState.ANSWERED and came_back:
        return do.Announce(event="resumed")
    if after.state is CallState.ENDED:
        assert after.reason is not None
        data: dict[str, Any] = {"reason": after.reason.value, "duration": round(after.duration, 3)}
        if after.failure is not None:
            data["failure"] = after.failure
        return do.Announce(event="ended", data=data)
    return do.Announce(event=after.state.value)


def _end_signaling(_call: Call, after: Call, _event: ev.CallEvent) -> do.EndSignaling:
    assert after.reason is not None
    return do.EndSignaling(reason=after.reason.value)


def _plain(kind: type[do.Effect]) -> Callable[[Call, Call, ev.CallEvent], Any]:
    return lambda _call, _after, _event: kind()


_MAKE: dict[type[do.Effect], Callable[[Call, Call, ev.CallEvent], Any]] = {
    **{kind: _plain(kind) for kind in do.EFFECTS},
    do.OpenMedia: _open_media,
    do.ReopenMedia: _reopen_media,
    do.CloseMedia: _close_media,
    do.LeaveSocket: _leave_socket,
    do.SendAnswer: _send_answer,
    do.SendOffer: _send_offer,
    do.TakeAnswer: _take_answer,
    do.SendError: _send_error,
    do.Announce: _announce,
    do.EndSignaling: _end_signaling,
}
