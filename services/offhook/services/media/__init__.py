"""Media over WebRTC: the ``MediaEngine`` port on aiortc."""

from offhook.services.media.engine import AiortcEngine

__all__ = ["AiortcEngine"]
