"""How patient the supervisor is."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    #: Wait before a restart: ``first_wait``, doubled with each failure in ``window``, at most ``longest_wait``.
    first_wait: float = 0.2
    longest_wait: float = 5.0
    #: So many failures of one role within ``window``, and the supervisor gives up.
    failures: int = 8
    window: float = 60.0
    #: Between SIGTERM and SIGKILL.
    grace: float = 3.0

    def wait_before_restart(self, failures: int) -> float:
        """Seconds to wait after ``failures`` (at least 1) failures in the window."""
        return min(self.first_wait * 2.0 ** (failures - 1), self.longest_wait)
