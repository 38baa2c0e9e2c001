"""Figures of one process for Prometheus, at ``/metrics`` of a port of its own (``serving``, where it is asked for)."""

from offhook.services.metrics.figures import Figure, Histogram, Read, call_figures, media_figures, quality_figures

__all__ = ["Figure", "Histogram", "Read", "call_figures", "media_figures", "quality_figures"]
