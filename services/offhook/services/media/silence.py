"""How long a caller was not heard of.

A caller's packets stop for three reasons: it is gone, it has nothing to send (a phone that keeps quiet, RFC 7587
3.1.3), or this process stood still and has read nothing. The second is told by asking, the third by counting looks at
the clock instead of the clock: a look that comes late counts no more than one that was due.
"""

from enum import Enum, auto

#: Time between two looks, and the most that one of them counts, seconds.
LOOK_EVERY = 0.2
MOST_OF_A_LOOK = 2 * LOOK_EVERY
#: Silence after which the caller is asked whether it lives, and after which it is lost, seconds. A phone that keeps
#: quiet sends a packet each 0.4 s, a browser each 20 ms, also when it is muted.
SUSPECT_AFTER = 1.0
LOST_AFTER = 1.5


class Sign(Enum):
    """What a caller's silence means."""

    LIVES = auto()
    SUSPECT = auto()
    LOST = auto()


class Silence:
    """One caller's silence. Times are monotonic seconds; look each ``LOOK_EVERY``."""

    def __init__(self, now: float) -> None:
        self._looked = now
        self._heard = now
        self._seconds = 0.0

    def look(self, now: float, heard: float) -> Sign:
        """``heard`` is when the caller was heard last."""
        if heard != self._heard:
            self._heard, self._seconds = heard, 0.0
        else:
            self._seconds += min(now - self._looked, MOST_OF_A_LOOK)
        self._looked = now
        return self.sign

    @property
    def sign(self) -> Sign:
        """What the last look has told."""
        if self._seconds < SUSPECT_AFTER:
            return Sign.LIVES
        return Sign.SUSPECT if self._seconds < LOST_AFTER else Sign.LOST
