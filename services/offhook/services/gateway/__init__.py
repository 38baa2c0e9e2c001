"""The public port: callers' WebSockets stay here, every other request goes on to the api role."""

from offhook.services.gateway.limits import Limits
from offhook.services.gateway.listener import SIGNALING_PATH, serve_gateway

__all__ = ["SIGNALING_PATH", "Limits", "serve_gateway"]
