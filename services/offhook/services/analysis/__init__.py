"""Looking over ended calls, by rules or by a language model."""

from offhook.services.analysis.worker import run_analyses

__all__ = ["run_analyses"]
