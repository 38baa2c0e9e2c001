"""How often one address may ask: a token bucket for each."""

from collections import OrderedDict


class Throttle:
    """Allows each address ``per_minute`` requests in a minute, all at once if it likes."""

    def __init__(self, per_minute: int, *, most: int = 10_000) -> None:
        self._size = float(per_minute)
        self._rate = per_minute / 60
        self._most = most
        #: Address -> tokens left and when that was (seconds); the one asked for longest ago comes first.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_needed(self, address: str, now: float) -> float:
        """Take a token: 0, or, where none is left, the seconds until there will be one."""
        tokens, since = self._buckets.pop(address, (self._size, now))
        tokens = min(self._size, tokens + (now - since) * self._rate)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / self._rate
