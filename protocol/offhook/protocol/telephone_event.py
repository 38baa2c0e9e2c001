"""Keys of a telephone in an RTP stream (RFC 4733): each is an event that many packets report, so that some may be lost.

All packets of an event carry the RTP timestamp of its beginning (2.5.1.2) and how long it has lasted by then. The last
one is sent three times. An event that lasts longer than 16 bits can count goes on as another one that begins where the
first stopped (2.5.1.3).
"""

from collections import deque
from struct import Struct

#: Events 0 to 15 (3.2).
KEYS = "0123456789*#ABCD"
#: Frames of 20 ms for which a key is pressed, how often its end is told, and frames of rest until the next key.
PRESSED = 5
ENDINGS = 3
REST = 3
#: Loudness of a key, dB below full scale (2.3.4).
VOLUME = 10
#: Keys that may wait to be pressed.
MAX_KEYS = 64
#: Events that are remembered, for packets of theirs that come late.
REMEMBERED = 16
#: The longest duration that a packet can tell.
LONGEST = 0xFFFF

_PAYLOAD = Struct("!BBH")
_END = 0x80


class Keypad:
    """Presses keys, frame by frame. ``rate`` is the clock of the stream's telephone-events, Hz."""

    def __init__(self, rate: int) -> None:
        self._ticks = rate // 50
        self._waiting: deque[int] = deque()
        self._frame = 0

    def press(self, keys: str) -> None:
        """Press keys after those that wait. Raises ``ValueError`` for one that no telephone has, and for too many."""
        wrong = [key for key in keys if key not in KEYS]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no key of a telephone: use {KEYS}")
        if len(self._waiting) + len(keys) > MAX_KEYS:
            raise ValueError(f"at most {MAX_KEYS} keys may wait to be pressed")
        self._waiting.extend(map(KEYS.index, keys))

    def frame(self) -> tuple[bool, bytes] | None:
        """What is to be sent in the next 20 ms instead of sound: whether an event begins, and its payload.

        None when sound is to be sent.
        """
        if not self._waiting:
            return None
        at = self._frame
        self._frame += 1
        if at >= PRESSED + ENDINGS:
            if self._frame == PRESSED + ENDINGS + REST:
                self._frame = 0
                self._waiting.popleft()
            return None
        ending = _END if at >= PRESSED else 0
        duration = min(at + 1, PRESSED) * self._ticks
        return at == 0, _PAYLOAD.pack(self._waiting[0], ending | VOLUME, duration)


class Digits:
    """Tells a new key from the many packets that report one, whatever gets lost, comes twice or late."""

    def __init__(self) -> None:
        #: Timestamps of events that were told.
        self._known: deque[int] = deque(maxlen=REMEMBERED)
        #: Key of the newest event, and the timestamp at which it would go on past its longest duration.
        self._going_on: tuple[int, int] | None = None

    def put(self, timestamp: int, payload: bytes) -> str | None:
        """One packet; the key if this is the first to report it."""
        if len(payload) < _PAYLOAD.size or payload[0] >= len(KEYS):
            return None
        event, flags, duration = _PAYLOAD.unpack_from(payload)
        new = timestamp not in self._known and (event, timestamp) != self._going_on
        if timestamp not in self._known:
            self._known.append(timestamp)
        if duration == LONGEST and not flags & _END:
            self._going_on = event, (timestamp + LONGEST) % 2**32
        return KEYS[event] if new else None
