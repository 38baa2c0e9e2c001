"""HTTP: the REST resources under ``/v1``, the call page and its files, demo tokens."""

from offhook.services.api.access import Rates
from offhook.services.api.call_tokens import AgentShown
from offhook.services.api.serving import serve_api

__all__ = ["AgentShown", "Rates", "serve_api"]
