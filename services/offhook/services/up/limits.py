"""How patient the supervisor is."""

from collections import deque

import msgspec

from offhook.protocol.errors import OffhookError


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    #: Wait before a restart: ``first_wait``, doubled with each failure in ``window``, at most ``longest_wait``.
    first_wait: float = 0.2
    longest_wait: float = 5.0
    #: So many failures of one process within ``window``, and the supervisor gives up.
    failures: int = 8
    window: float = 60.0
    #: Between SIGTERM and SIGKILL, for a process and for one that is last. Together with the end of the NATS server
    #: less than five seconds, however stubborn they are.
    grace: float = 2.5
    last_grace: float = 1.0


class RoleGaveUp(OffhookError):
    """A role cannot be kept running; everything else has been ended too."""

    def __init__(self, role: str, message: str) -> None:
        super().__init__(message)
        self.role = role


class Failures:
    """The recent failures of one role."""

    def __init__(self, role: str, limits: Limits) -> None:
        self._role = role
        self._limits = limits
        self._at: deque[float] = deque()

    def wait_after(self, how: str, now: float) -> float:
        """Seconds to wait after a failure at ``now``; ``how`` says how it ended. Raises ``RoleGaveUp``."""
        limits = self._limits
        self._at.append(now)
        while self._at[0] < now - limits.window:
            self._at.popleft()
        count = len(self._at)
        if count >= limits.failures:
            raise RoleGaveUp(
                self._role,
                f"{self._role} ended {count} times within {limits.window:g} seconds, the last time with {how}. "
                "Its messages above say why; offhook stops here.",
            )
        return min(limits.first_wait * 2.0 ** (count - 1), limits.longest_wait)
