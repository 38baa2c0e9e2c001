"""Keys the caller presses, as telephone-events in the audio stream (RFC 4733)."""

#: Events 0 to 15 (RFC 4733 3.2).
KEYS = "0123456789*#ABCD"


class Digits:
    """Tells a new key from the many packets that report one."""

    def __init__(self) -> None:
        self._last: int | None = None

    def put(self, timestamp: int, payload: bytes) -> str | None:
        """One packet; the key if this is the first to report it: all packets of an event share its timestamp (2.2)."""
        if len(payload) < 4 or payload[0] >= len(KEYS) or timestamp == self._last:
            return None
        self._last = timestamp
        return KEYS[payload[0]]
