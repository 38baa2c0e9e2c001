"""One event of each kind, and a call in each state: what tests of the call's table are fed with."""

from collections.abc import Callable

from offhook.protocol.call import LIVING, Call, CallEvent, CallState, EndReason
from offhook.protocol.call import events as ev
from offhook.protocol.quality import Quality

#: When the calls below came into their state, seconds since the epoch.
ENTERED = 1_000.0
OFFERED = ev.Offered(
    agent="parrot",
    version="3",
    workspace="birds",
    sdp="v=0 offer",
    mode="traditional",
    caller="Robin",
    variables={"name": "Robin"},
    max_duration=300.0,
)

_SAMPLES: dict[type[ev.Event], Callable[[Call], CallEvent]] = {
    ev.Offered: lambda _: OFFERED,
    ev.MediaPrepared: lambda _: ev.MediaPrepared(sdp="v=0 answer", node="voice-1"),
    ev.OfferAnswered: lambda _: ev.OfferAnswered(sdp="v=0 reply"),
    ev.MediaFailed: lambda _: ev.MediaFailed(reason="media_failed", message="The audio broke."),
    ev.AgentFailed: lambda _: ev.AgentFailed(reason="agent_failed", message="The agent broke."),
    ev.VoiceLost: lambda call: ev.VoiceLost(node=call.node or "voice-1"),
    ev.MindKept: lambda _: ev.MindKept(mind='{"node":"ask_day"}', unheard=True),
    ev.Said: lambda call: ev.Said(role="agent", text="hello", line=call.lines + 1, began=1.0, ended=2.0),
    ev.FloorPassed: lambda _: ev.FloorPassed(floor="speaking"),
    ev.InfoSent: lambda _: ev.InfoSent(name="mood", data='"happy"'),
    ev.ToolCalled: lambda _: ev.ToolCalled(id="c:1", name="book", arguments="{}"),
    ev.ToolReturned: lambda _: ev.ToolReturned(id="c:1", result="{}"),
    ev.RecordingBegan: lambda _: ev.RecordingBegan(key="c.ogg", consent="2026-11"),
    ev.RecordingSaved: lambda _: ev.RecordingSaved(key="c.ogg", seconds=62.5, size=500_000),
    ev.AudioMeasured: lambda _: ev.AudioMeasured(quality=Quality(received=3000, lost=30, heard=59.4, mos=4.2)),
    ev.CallerReturned: lambda _: ev.CallerReturned(socket="socket-2"),
    ev.Reoffered: lambda _: ev.Reoffered(sdp="v=0 offer again"),
    ev.ReofferRefused: lambda _: ev.ReofferRefused(reason="sdp_invalid", message="That is no offer."),
    ev.TimedOut: lambda call: ev.TimedOut(state=call.state, epoch=call.epoch),
}


def event_for(call: Call, kind: type[ev.Event]) -> CallEvent:
    """An event of ``kind`` that ``call`` could get next: the right line, a timer of the present epoch."""
    make = _SAMPLES.get(kind)
    if make is not None:
        return make(call)
    event: CallEvent = kind()  # type: ignore[assignment]  # all other kinds carry nothing
    return event


def call_in(state: CallState, *, left: CallState = CallState.ANSWERED) -> Call:
    """A call that has come to ``state`` in a usual way; ``left`` matters for ``reconnecting`` alone."""
    order = list(CallState)
    talked = order.index(state) >= order.index(CallState.ANSWERED)
    over = state in {CallState.ENDING, CallState.ENDED}
    return Call(
        id="c",
        state=state,
        epoch=order.index(state),
        entered_at=ENTERED,
        created_at=900.0,
        answered_at=950.0 if talked else None,
        ended_at=ENTERED if over else None,
        offer=None if state is CallState.CREATED else OFFERED,
        answer="v=0 answer" if state in LIVING - {CallState.CREATED} else None,
        node="voice-1" if state in LIVING - {CallState.CREATED} else None,
        left=left if state is CallState.RECONNECTING else None,
        reason=EndReason.CALLER_HANGUP if over else None,
        lines=2 if talked else 0,
    )
