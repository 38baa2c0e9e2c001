"""Logs of calls that could have happened, for property tests of whatever reads them."""

from typing import Any

from hypothesis import strategies as st

from offhook.protocol.call import TABLE, Call, CallEvent, CallState, EndReason, LogEntry, step
from offhook.protocol.call import events as ev
from offhook.protocol.quality import Quality

#: When the calls begin, seconds since the epoch.
BEGIN = 1_790_000_000.0

_words = st.text(max_size=20)
_facts = st.dictionaries(st.sampled_from(["plan", "name", "page"]), _words, max_size=2)
_maybe = st.none() | _words
_keys = st.sampled_from(["c.ogg", "c.2.ogg", "c.3.ogg"])


@st.composite
def call_logs(draw: st.DrawFn, call: str = "6f1c2d3e-0000-4000-8000-000000000001", longest: int = 25) -> list[LogEntry]:
    """The log of one call, drawn along the table: at most ``longest`` entries, ended or not."""
    state, at, entries = Call(id=call), BEGIN, list[LogEntry]()
    for seq in range(1, draw(st.integers(0, longest)) + 1):
        kind = draw(_next_kinds(state))
        if kind is None:
            break
        at += draw(st.sampled_from([0.0, 0.25, 3.0, 61.5]))
        event = draw(_events(kind, state, at))
        state, _ = step(state, event, at)
        entries.append(LogEntry(call=call, seq=seq, at=at, owner=1, event=event))
    return entries


def _next_kinds(call: Call) -> st.SearchStrategy[Any]:
    """Kinds of events that have a row now. Those that end the call come seldom, or every log would be short."""
    rows = {kind: edge.to for (state, kind), edge in TABLE.items() if state is call.state}
    if call.node is None:
        rows.pop(ev.VoiceLost, None)
    if call.node is None and call.state is CallState.RECONNECTING:
        rows.pop(ev.MediaConnected)
    if not rows:
        return st.none()
    final = [kind for kind, to in rows.items() if to in {CallState.ENDING, CallState.ENDED}]
    onward = [kind for kind in rows if kind not in final]
    if not onward or not final:
        return st.sampled_from(list(rows))
    return st.sampled_from([*onward * 4, *final])


def _events(kind: type[ev.Event], call: Call, at: float) -> st.SearchStrategy[CallEvent]:
    given: dict[type[ev.Event], dict[str, st.SearchStrategy[Any]]] = {
        ev.Offered: {
            "agent": st.sampled_from(["front-desk", "sales"]),
            "version": st.just("3"),
            "workspace": st.sampled_from(["main", "other"]),
            "sdp": st.just("v=0"),
            "mode": st.just("traditional"),
            "caller": _maybe,
            "call_sid": _maybe,
            "variant": _maybe,
            "variables": _facts,
            "metadata": _facts,
        },
        ev.MediaPrepared: {"sdp": st.just("v=0"), "node": st.just("voice-1")},
        ev.OfferAnswered: {"sdp": st.just("v=0")},
        ev.VoiceLost: {"node": st.just(call.node)},
        ev.MindKept: {"mind": st.sampled_from(["{}", '{"node":"ask_day"}']), "unheard": st.booleans()},
        ev.MediaFailed: {"reason": st.just("media_failed"), "message": _words},
        ev.AgentFailed: {"reason": st.just("agent_failed"), "message": _words},
        ev.AgentCompleted: {"reason": st.sampled_from([EndReason.AGENT_COMPLETED, EndReason.SILENCE])},
        ev.Said: {
            "role": st.sampled_from(["caller", "agent"]),
            "text": _words,
            "line": st.just(call.lines + 1),
            "began": st.just(at - 1.5),
            "ended": st.just(at),
            "interrupted": st.booleans(),
        },
        ev.FloorPassed: {"floor": st.sampled_from(["speaking", "listening"])},
        ev.InfoSent: {"name": _words, "data": st.just("{}")},
        ev.RecordingBegan: {"key": _keys, "consent": st.sampled_from(["", "2026-11"])},
        ev.RecordingSaved: {
            "key": _keys,
            "seconds": st.floats(0, 1800),
            "size": st.integers(0, 10**8),
            "failure": st.sampled_from(["", "No space left on device"]),
            "began_at": st.none() | st.just(at - 9.5),
        },
        ev.AudioMeasured: {
            "quality": st.builds(
                Quality,
                received=st.integers(0, 10**6),
                lost=st.integers(-3, 10**5),
                concealed=st.floats(0, 60),
                mos=st.none() | st.floats(1, 4.5),
            )
        },
        ev.TimedOut: {"state": st.just(call.state), "epoch": st.just(call.epoch)},
    }
    return st.builds(kind, **given.get(kind, {}))  # type: ignore[arg-type]
