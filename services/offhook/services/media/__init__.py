"""Media over WebRTC: the ``MediaEngine`` port on aiortc."""

from offhook.services.media.engine import AiortcEngine
from offhook.services.media.hold import hold_packets
from offhook.services.media.recorder import FileRecorder

__all__ = ["AiortcEngine", "FileRecorder", "hold_packets"]
