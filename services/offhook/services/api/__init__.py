"""HTTP: the call page and its files, demo tokens, and the history of calls."""

from offhook.services.api.serving import serve_api

__all__ = ["serve_api"]
