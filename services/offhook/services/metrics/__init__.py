"""Figures of one process for Prometheus, at ``/metrics`` of a port of its own (``serving``, where it is asked for)."""

from offhook.services.metrics.figures import Figure, Read, call_figures, media_figures

__all__ = ["Figure", "Read", "call_figures", "media_figures"]
