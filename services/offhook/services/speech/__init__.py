"""Offline ears and mouth: recognition, synthesis and voice detection that need no account and no download.

The names are loaded when they are first used, because the worker processes import this package too, and a worker must
start in a few milliseconds without an event loop library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.services.speech.endpoint import EndpointDetector as EndpointDetector
    from offhook.services.speech.recognizer import open_recognizer as open_recognizer
    from offhook.services.speech.synthesizer import open_synthesizer as open_synthesizer

__all__ = ["EndpointDetector", "open_recognizer", "open_synthesizer"]

_HOMES = {
    "EndpointDetector": "offhook.services.speech.endpoint",
    "open_recognizer": "offhook.services.speech.recognizer",
    "open_synthesizer": "offhook.services.speech.synthesizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
