"""The gateway protocol (G1-G10): JSON text frames between a caller's client and the gateway.

``decode_frame`` turns the text of one client frame into a Struct or a ``Refusal``; the ``encode_*`` functions write the
frames of the server.
"""

from offhook.protocol.signal.decode import decode_frame
from offhook.protocol.signal.encode import encode_answer, encode_candidate, encode_error, encode_event, encode_resumed
from offhook.protocol.signal.frames import (
    AgentVersion,
    ClientFrame,
    Close,
    Dtmf,
    IceCandidate,
    Info,
    Mode,
    Offer,
    Resume,
    Text,
)

__all__ = [
    "AgentVersion",
    "ClientFrame",
    "Close",
    "Dtmf",
    "IceCandidate",
    "Info",
    "Mode",
    "Offer",
    "Resume",
    "Text",
    "decode_frame",
    "encode_answer",
    "encode_candidate",
    "encode_error",
    "encode_event",
    "encode_resumed",
]
