"""The table of a call: the one place that says which event leads from which state to which, and what follows.

Rules
-----
1. A call is in one state; only a row of ``TABLE`` changes it. No row: nothing happens, ``NoEdge`` is raised.
2. A row names the target state and the *kinds* of the effects in the order they are posted; ``step`` fills them in.
3. ``RETURN`` leads back to the state that was left for ``reconnecting``; ``RETURNS`` holds one row for each.
4. Every living state has a timeout and a ``TimedOut`` row that leads towards ``ended``.
5. Every way from a state with media to ``ended`` passes ``ending``: the agent stops first (its last line is reported
   as far as it was played), then the media closes, then the record closes.
"""

from typing import Final

import msgspec

from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.call.states import CallState as State
from offhook.protocol.call.states import EndReason


class Edge(msgspec.Struct, frozen=True):
    """One row: the target state (None: back to the state left for ``reconnecting``) and the effects, in order."""

    to: State | None
    effects: tuple[type[do.Effect], ...] = ()
    #: Why the call ends, where this row decides it and the event does not carry a reason.
    reason: EndReason | None = None


Table = dict[tuple[State, type[ev.Event]], Edge]

RETURN: Final = None

#: Rows for the way back from ``reconnecting``, by the state that was left.
RETURNS: dict[State, Edge] = {
    State.ANSWERED: Edge(State.ANSWERED, (do.ResumeAgent, do.Announce)),
    State.HELD: Edge(State.HELD, (do.HoldMedia, do.Announce)),
}


def _ending(reason: EndReason, *first: type[do.Effect]) -> Edge:
    return Edge(State.ENDING, (*first, do.StopAgent), reason)


_OVER = (do.Announce, do.EndSignaling)

TABLE: Table = {
    # ── created: nothing to close yet ──────────────────────────────────────────────────────────────────────────
    (State.CREATED, ev.Offered): Edge(State.CONNECTING, (do.OpenMedia,)),
    (State.CREATED, ev.CallerHungUp): Edge(State.ENDED, _OVER, EndReason.CALLER_HANGUP),
    (State.CREATED, ev.CallerDropped): Edge(State.ENDED, _OVER, EndReason.LOST),
    (State.CREATED, ev.ShutDown): Edge(State.ENDED, _OVER, EndReason.SHUTDOWN),
    (State.CREATED, ev.TimedOut): Edge(State.ENDED, _OVER, EndReason.FAILED),
    # ── connecting: a voice node answers, ICE and DTLS come up ─────────────────────────────────────────────────
    # Who offered decides which of the two is sent.
    (State.CONNECTING, ev.MediaPrepared): Edge(State.CONNECTING, (do.SendAnswer, do.SendOffer)),
    (State.CONNECTING, ev.OfferAnswered): Edge(State.CONNECTING, (do.TakeAnswer,)),
    (State.CONNECTING, ev.OfferRepeated): Edge(State.CONNECTING, (do.SendAnswer,)),
    (State.CONNECTING, ev.MediaConnected): Edge(State.RINGING, (do.RingAgent, do.Announce)),
    (State.CONNECTING, ev.MediaFailed): _ending(EndReason.FAILED, do.SendError),
    # There is no conversation yet that could go on.
    (State.CONNECTING, ev.VoiceLost): _ending(EndReason.FAILED, do.SendError),
    (State.CONNECTING, ev.AgentFailed): _ending(EndReason.FAILED, do.SendError),
    (State.CONNECTING, ev.CallerHungUp): _ending(EndReason.CALLER_HANGUP),
    (State.CONNECTING, ev.OperatorHungUp): _ending(EndReason.OPERATOR_HANGUP),
    (State.CONNECTING, ev.CallerDropped): _ending(EndReason.LOST),
    (State.CONNECTING, ev.ShutDown): _ending(EndReason.SHUTDOWN),
    (State.CONNECTING, ev.TimedOut): _ending(EndReason.FAILED, do.SendError),
    # ── ringing: the agent has been asked ──────────────────────────────────────────────────────────────────────
    (State.RINGING, ev.OfferRepeated): Edge(State.RINGING, (do.SendAnswer,)),
    (State.RINGING, ev.CallerReturned): Edge(State.RINGING, (do.LeaveSocket,)),
    (State.RINGING, ev.RecordingBegan): Edge(State.RINGING),
    (State.RINGING, ev.AgentAnswered): Edge(State.ANSWERED, (do.StartAgent, do.Announce)),
    (State.RINGING, ev.AgentFailed): _ending(EndReason.FAILED, do.SendError),
    (State.RINGING, ev.MediaLost): _ending(EndReason.LOST),
    (State.RINGING, ev.MediaFailed): _ending(EndReason.FAILED, do.SendError),
    (State.RINGING, ev.VoiceLost): _ending(EndReason.FAILED, do.SendError),
    (State.RINGING, ev.CallerHungUp): _ending(EndReason.CALLER_HANGUP),
    (State.RINGING, ev.OperatorHungUp): _ending(EndReason.OPERATOR_HANGUP),
    (State.RINGING, ev.CallerDropped): _ending(EndReason.LOST),
    (State.RINGING, ev.ShutDown): _ending(EndReason.SHUTDOWN),
    (State.RINGING, ev.TimedOut): _ending(EndReason.NO_ANSWER),
    # ── answered: agent and caller talk ────────────────────────────────────────────────────────────────────────
    (State.ANSWERED, ev.OfferRepeated): Edge(State.ANSWERED, (do.SendAnswer,)),
    (State.ANSWERED, ev.Said): Edge(State.ANSWERED, (do.Announce,)),
    (State.ANSWERED, ev.FloorPassed): Edge(State.ANSWERED, (do.Announce,)),
    (State.ANSWERED, ev.InfoSent): Edge(State.ANSWERED, (do.Announce,)),
    (State.ANSWERED, ev.ToolCalled): Edge(State.ANSWERED),
    (State.ANSWERED, ev.ToolReturned): Edge(State.ANSWERED),
    (State.ANSWERED, ev.MindKept): Edge(State.ANSWERED),
    (State.ANSWERED, ev.RecordingBegan): Edge(State.ANSWERED),
    (State.ANSWERED, ev.RecordingSaved): Edge(State.ANSWERED),
    (State.ANSWERED, ev.AudioMeasured): Edge(State.ANSWERED),
    (State.ANSWERED, ev.CallHeld): Edge(State.HELD, (do.HoldAgent, do.HoldMedia, do.Announce)),
    (State.ANSWERED, ev.MediaLost): Edge(State.RECONNECTING, (do.HoldAgent, do.Announce)),
    # Who has offered new media already is served at once. A voice node that only seemed to be gone lets go.
    (State.ANSWERED, ev.VoiceLost): Edge(State.RECONNECTING, (do.CloseMedia, do.OpenMedia, do.Announce)),
    # The voice goes on without the socket; the caller may come back to it (G11).
    (State.ANSWERED, ev.CallerDropped): Edge(State.ANSWERED),
    (State.ANSWERED, ev.CallerReturned): Edge(State.ANSWERED, (do.LeaveSocket,)),
    (State.ANSWERED, ev.Reoffered): Edge(State.ANSWERED, (do.ReopenMedia,)),
    (State.ANSWERED, ev.ReofferRefused): Edge(State.ANSWERED, (do.SendError,)),
    (State.ANSWERED, ev.MediaPrepared): Edge(State.ANSWERED, (do.SendAnswer,)),
    (State.ANSWERED, ev.AgentCompleted): _ending(EndReason.AGENT_COMPLETED),
    (State.ANSWERED, ev.AgentFailed): _ending(EndReason.FAILED, do.SendError),
    (State.ANSWERED, ev.MediaFailed): _ending(EndReason.FAILED, do.SendError),
    (State.ANSWERED, ev.CallerHungUp): _ending(EndReason.CALLER_HANGUP),
    (State.ANSWERED, ev.OperatorHungUp): _ending(EndReason.OPERATOR_HANGUP),
    (State.ANSWERED, ev.ShutDown): _ending(EndReason.SHUTDOWN),
    (State.ANSWERED, ev.TimedOut): _ending(EndReason.MAX_DURATION),
    # ── held: the caller waits; lines cut off by the hold still arrive ─────────────────────────────────────────
    (State.HELD, ev.OfferRepeated): Edge(State.HELD, (do.SendAnswer,)),
    (State.HELD, ev.Said): Edge(State.HELD, (do.Announce,)),
    (State.HELD, ev.FloorPassed): Edge(State.HELD),
    (State.HELD, ev.CallResumed): Edge(State.ANSWERED, (do.ResumeMedia, do.ResumeAgent, do.Announce)),
    (State.HELD, ev.MediaLost): Edge(State.RECONNECTING, (do.Announce,)),
    (State.HELD, ev.VoiceLost): Edge(State.RECONNECTING, (do.CloseMedia, do.OpenMedia, do.Announce)),
    (State.HELD, ev.ToolReturned): Edge(State.HELD),
    (State.HELD, ev.MindKept): Edge(State.HELD),
    (State.HELD, ev.RecordingBegan): Edge(State.HELD),
    (State.HELD, ev.RecordingSaved): Edge(State.HELD),
    (State.HELD, ev.AudioMeasured): Edge(State.HELD),
    (State.HELD, ev.CallerDropped): Edge(State.HELD),
    (State.HELD, ev.CallerReturned): Edge(State.HELD, (do.LeaveSocket,)),
    (State.HELD, ev.Reoffered): Edge(State.HELD, (do.ReopenMedia,)),
    (State.HELD, ev.ReofferRefused): Edge(State.HELD, (do.SendError,)),
    (State.HELD, ev.MediaPrepared): Edge(State.HELD, (do.SendAnswer,)),
    (State.HELD, ev.AgentFailed): _ending(EndReason.FAILED, do.SendError),
    (State.HELD, ev.MediaFailed): _ending(EndReason.FAILED, do.SendError),
    (State.HELD, ev.CallerHungUp): _ending(EndReason.CALLER_HANGUP),
    (State.HELD, ev.OperatorHungUp): _ending(EndReason.OPERATOR_HANGUP),
    (State.HELD, ev.ShutDown): _ending(EndReason.SHUTDOWN),
    (State.HELD, ev.TimedOut): _ending(EndReason.MAX_DURATION),
    # ── reconnecting: the caller's audio is missing ────────────────────────────────────────────────────────────
    (State.RECONNECTING, ev.Said): Edge(State.RECONNECTING, (do.Announce,)),
    (State.RECONNECTING, ev.FloorPassed): Edge(State.RECONNECTING),
    (State.RECONNECTING, ev.ToolReturned): Edge(State.RECONNECTING),
    (State.RECONNECTING, ev.MindKept): Edge(State.RECONNECTING),
    (State.RECONNECTING, ev.RecordingBegan): Edge(State.RECONNECTING),
    (State.RECONNECTING, ev.RecordingSaved): Edge(State.RECONNECTING),
    (State.RECONNECTING, ev.AudioMeasured): Edge(State.RECONNECTING),
    (State.RECONNECTING, ev.CallerDropped): Edge(State.RECONNECTING),
    (State.RECONNECTING, ev.CallerReturned): Edge(State.RECONNECTING, (do.LeaveSocket,)),
    # Whether there is still a voice node decides which of the two is posted.
    (State.RECONNECTING, ev.Reoffered): Edge(State.RECONNECTING, (do.OpenMedia, do.ReopenMedia)),
    (State.RECONNECTING, ev.ReofferRefused): Edge(State.RECONNECTING, (do.SendError,)),
    (State.RECONNECTING, ev.MediaPrepared): Edge(State.RECONNECTING, (do.SendAnswer,)),
    (State.RECONNECTING, ev.MediaConnected): Edge(RETURN),
    (State.RECONNECTING, ev.VoiceLost): Edge(State.RECONNECTING, (do.CloseMedia, do.OpenMedia, do.Announce)),
    (State.RECONNECTING, ev.AgentCompleted): _ending(EndReason.AGENT_COMPLETED),
    (State.RECONNECTING, ev.AgentFailed): _ending(EndReason.FAILED, do.SendError),
    (State.RECONNECTING, ev.MediaFailed): _ending(EndReason.LOST),
    (State.RECONNECTING, ev.CallerHungUp): _ending(EndReason.CALLER_HANGUP),
    (State.RECONNECTING, ev.OperatorHungUp): _ending(EndReason.OPERATOR_HANGUP),
    (State.RECONNECTING, ev.ShutDown): _ending(EndReason.SHUTDOWN),
    (State.RECONNECTING, ev.TimedOut): _ending(EndReason.LOST),
    # ── ending: agent, then media; a voice node that answers late is told to stop too ──────────────────────────
    (State.ENDING, ev.Said): Edge(State.ENDING, (do.Announce,)),
    (State.ENDING, ev.ToolReturned): Edge(State.ENDING),
    (State.ENDING, ev.RecordingBegan): Edge(State.ENDING),
    (State.ENDING, ev.RecordingSaved): Edge(State.ENDING),
    (State.ENDING, ev.AudioMeasured): Edge(State.ENDING),
    (State.ENDING, ev.MediaPrepared): Edge(State.ENDING, (do.StopAgent,)),
    (State.ENDING, ev.AgentStopped): Edge(State.ENDING, (do.CloseMedia,)),
    (State.ENDING, ev.MediaClosed): Edge(State.ENDED, _OVER),
    (State.ENDING, ev.TimedOut): Edge(State.ENDED, (do.CloseMedia, *_OVER)),
}

#: Seconds after which a voice node that has not answered a caller's new offer counts as lost for this call. Two have
#: seen then that it is silent, the caller and the owner of the call; its lease stands for seconds longer.
ANSWER_WITHIN = 2.0
#: How long a call may stay in a state, seconds. ``answered`` is bounded by the call's own ``max_duration``.
TIMEOUTS: dict[State, float] = {
    State.CREATED: 10.0,
    State.CONNECTING: 10.0,
    State.RINGING: 30.0,
    State.HELD: 600.0,
    State.RECONNECTING: 30.0,
    State.ENDING: 5.0,
}
