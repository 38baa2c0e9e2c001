"""The call: its states, the events that happen to it, the effects that follow, the table, and ``step``."""

from offhook.protocol.call.effects import CallEffect, Effect
from offhook.protocol.call.events import EVENTS, CallEvent, Event, LogEntry
from offhook.protocol.call.memory import Memory, ToolUse
from offhook.protocol.call.recording import Recording, RecordingPart, call_of_recording, recording_key
from offhook.protocol.call.standing import standing
from offhook.protocol.call.states import LIVING, CallState, EndReason
from offhook.protocol.call.step import (
    Call,
    DoubleLine,
    NoEdge,
    OtherNode,
    StaleTimer,
    announced,
    answer_due,
    deadline,
    fold,
    step,
    take,
)
from offhook.protocol.call.table import TABLE, TIMEOUTS, Edge

__all__ = [
    "EVENTS",
    "LIVING",
    "TABLE",
    "TIMEOUTS",
    "Call",
    "CallEffect",
    "CallEvent",
    "CallState",
    "DoubleLine",
    "Edge",
    "Effect",
    "EndReason",
    "Event",
    "LogEntry",
    "Memory",
    "NoEdge",
    "OtherNode",
    "Recording",
    "RecordingPart",
    "StaleTimer",
    "ToolUse",
    "announced",
    "answer_due",
    "call_of_recording",
    "deadline",
    "fold",
    "recording_key",
    "standing",
    "step",
    "take",
]
