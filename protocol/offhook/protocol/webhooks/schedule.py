"""When a message that did not come through is sent again, and when that ends. Times in seconds."""

#: Waits after the first, second ... attempt; together a little more than a day.
_WAITS = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 21_600, 21_600)
#: A message is given up so long after the first attempt; a webhook is disabled when nothing came through for so long.
GIVE_UP_AFTER = 86_400.0
DISABLE_AFTER = 3 * 86_400.0
#: By how much of itself a wait is longer at most, so that what failed together does not come back together.
JITTER = 0.2


def wait_after(attempts: int, *, first_at: float, now: float, chance: float) -> float | None:
    """Seconds until the next attempt, after ``attempts`` of them; None: no more. ``chance`` is from 0 up to 1."""
    wait = _WAITS[min(attempts, len(_WAITS)) - 1] * (1 + JITTER * chance)
    return None if now + wait > first_at + GIVE_UP_AFTER else wait
