"""Ports: what the actors need from the outside, as Protocols.

Each has a real implementation in ``offhook.services`` and a simulated one in ``offhook.simulation``; both pass the same
contract tests (``tests/contract``). What a port does *not* promise is written down too: actors must live with it.

Every ``async`` method is a checkpoint and may be cancelled; cancelled calls may or may not have had their effect.
"""

from offhook.actors.ports.agents import AgentNotFound, Agents, Grant, Profile, VariantNotFound, Verifier
from offhook.actors.ports.brain import Brain, Informed, Lasting, Toolbox, ToolFailed
from offhook.actors.ports.bus import (
    MAX_BATCH,
    MAX_UNACKED,
    Batch,
    Bus,
    BusAway,
    KeyTaken,
    Stored,
    WrongRevision,
    WrongSequence,
)
from offhook.actors.ports.clock import Clock, Identity
from offhook.actors.ports.media import (
    MediaEngine,
    MediaPeer,
    PeerClosed,
    PeerConnected,
    PeerDigit,
    PeerEvent,
    PeerFailed,
    PeerLost,
    Tap,
)
from offhook.actors.ports.recordings import Recorded, Recorder, Recording
from offhook.actors.ports.speech import Recognizer, SpeechFailed, Synthesizer, Utterance, VoiceDetector

__all__ = [
    "MAX_BATCH",
    "MAX_UNACKED",
    "AgentNotFound",
    "Agents",
    "Batch",
    "Brain",
    "Bus",
    "BusAway",
    "Clock",
    "Grant",
    "Identity",
    "Informed",
    "KeyTaken",
    "Lasting",
    "MediaEngine",
    "MediaPeer",
    "PeerClosed",
    "PeerConnected",
    "PeerDigit",
    "PeerEvent",
    "PeerFailed",
    "PeerLost",
    "Profile",
    "Recognizer",
    "Recorded",
    "Recorder",
    "Recording",
    "SpeechFailed",
    "Stored",
    "Synthesizer",
    "Tap",
    "ToolFailed",
    "Toolbox",
    "Utterance",
    "VariantNotFound",
    "Verifier",
    "VoiceDetector",
    "WrongRevision",
    "WrongSequence",
]
