"""How often one may ask: a token bucket for each address or key."""

import math
from collections import OrderedDict

import msgspec


class Allowance(msgspec.Struct, frozen=True):
    """What is left after one request."""

    #: Requests in a minute.
    limit: int
    #: Requests that may follow at once.
    left: int
    #: Seconds until the bucket is full again.
    reset: float
    #: Seconds to wait where this request is one too many; 0: it is allowed.
    wait: float

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell a client of it."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.left),
            "RateLimit-Reset": str(math.ceil(self.reset)),
        }
        return told if self.wait <= 0 else told | {"Retry-After": str(math.ceil(self.wait))}


class Throttle:
    """Allows each one who asks ``per_minute`` requests in a minute, all at once if they like."""

    def __init__(self, per_minute: int, *, most: int = 10_000) -> None:
        self._per_minute = per_minute
        self._most = most
        #: Who -> tokens left and when that was (seconds); the one asked for longest ago comes first.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str, now: float, *, per_minute: int | None = None) -> Allowance:
        """Take a token of ``who``, whose bucket may have a size of its own."""
        size = self._per_minute if per_minute is None else per_minute
        rate = size / 60
        tokens, since = self._buckets.pop(who, (float(size), now))
        tokens = min(float(size), tokens + (now - since) * rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate
        tokens = tokens if wait else tokens - 1
        self._buckets[who] = (tokens, now)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return Allowance(size, int(tokens), (size - tokens) / rate, wait)

    def wait_needed(self, who: str, now: float) -> float:
        """Take a token: 0, or, where none is left, the seconds until there will be one."""
        return self.take(who, now).wait
