"""Recordings of calls: Ogg/Opus with both sides, made of the packets as they were sent. Pure."""

from offhook.protocol.recording.ogg import FIRST, LAST, OggStream, fitting, opus_head, opus_tags
from offhook.protocol.recording.packets import BadPacket, Packet, parse, units
from offhook.protocol.recording.tracks import Side, Tracks

__all__ = [
    "FIRST",
    "LAST",
    "BadPacket",
    "OggStream",
    "Packet",
    "Side",
    "Tracks",
    "fitting",
    "opus_head",
    "opus_tags",
    "parse",
    "units",
]
