"""HTTP: the REST resources under ``/v1``, the call page and its files, demo tokens."""

from offhook.services.api.access import Rates
from offhook.services.api.application import Parts
from offhook.services.api.serving import serve_api

__all__ = ["Parts", "Rates", "serve_api"]
