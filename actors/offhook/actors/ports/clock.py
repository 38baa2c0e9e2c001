"""Time and chance are given to actors."""

from typing import Protocol


class Clock(Protocol):
    """The wall clock, for what is written down. What is waited for goes by ``anyio.current_time()``."""

    def now(self) -> float:
        """Seconds since the epoch."""


class Identity(Protocol):
    """Where new names come from."""

    def new_id(self) -> str:
        """A fresh UUID."""
