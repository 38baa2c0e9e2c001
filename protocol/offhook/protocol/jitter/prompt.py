"""Playing to a machine: at once, and in order."""

from offhook.protocol.jitter.concealing import Concealing
from offhook.protocol.jitter.decisions import Decision, Decode, Quiet
from offhook.protocol.jitter.waiting import Counts, Waiting
from offhook.protocol.rtp import CLOCK

#: Packets that wait behind a gap at most.
PATIENCE = 3
#: Seconds after which a packet that could have followed has not (one and a half): the sender keeps quiet, or is away.
FOLLOWED = 0.03
#: The most of a pause or of an outage that is filled, ticks (1 s): who listens needs the time, not all of it.
MAX_FILLED = CLOCK


class Prompt:
    """Hands packets on as they come; ``put`` one, then ``take`` until None.

    Only behind a gap packets wait: until the missing one comes, or has not come for as long as packets have lately been
    out of order (nothing, on a network that keeps their order), or ``PATIENCE`` later ones are here. So ``take`` has
    something new only after a ``put``; but a sender may keep quiet then, so that who takes asks again at ``due``.
    """

    def __init__(self) -> None:
        self._waiting = Waiting()
        self._concealing = Concealing(self._waiting)
        #: How long the packet that was handed on last had waited, seconds.
        self.delay = 0.0

    @property
    def counts(self) -> Counts:
        """What became of the packets."""
        return self._waiting.counts

    @property
    def jitter(self) -> float:
        """How much later than the fastest nearly all packets come, seconds."""
        return self._waiting.network.spread

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def due(self) -> float | None:
        """When what waits is to be taken though no packet follows; None: nothing waits."""
        oldest = self._waiting.oldest
        return None if oldest is None else oldest + self._waiting.network.disorder + FOLLOWED

    def put(self, sequence: int, timestamp: int, payload: bytes | None, now: float) -> None:
        """A packet, by the numbers of its header; None for the payload of one that holds no audio (a digit)."""
        self._waiting.put(sequence, timestamp, payload, now)

    def take(self, now: float) -> Decision | None:
        """What to do next; None: wait for the next packet."""
        waiting = self._waiting
        while True:
            packet = waiting.peek()
            if packet is None:
                first = waiting.first()
                if first is None or not self._is_over(now):
                    return None
                if first.payload is not None and waiting.end is not None and first.timestamp > waiting.end:
                    self._concealing.move_on(first, max(waiting.end, first.timestamp - MAX_FILLED))
                    return self._concealing.bridge(first)
                waiting.skip_to(first)
                packet = first
            if packet.payload is None:
                waiting.pop()
                continue
            quiet = 0 if waiting.end is None else min(packet.timestamp - waiting.end, MAX_FILLED)
            if quiet > 0:
                # A sender that keeps quiet (DTX) leaves out timestamps, not sequence numbers; time passes all the same.
                waiting.end = packet.timestamp
                waiting.counts.quiet += quiet
                return Quiet(quiet)
            waiting.pop()
            waiting.end = packet.timestamp + packet.ticks
            waiting.counts.decoded += packet.ticks
            self._concealing.heard()
            self.delay = now - packet.arrival
            return Decode(packet.timestamp, packet.ticks, packet.payload)

    def _is_over(self, now: float) -> bool:
        oldest = self._waiting.oldest
        waited = 0.0 if oldest is None else now - oldest
        return len(self._waiting) >= PATIENCE or waited >= self._waiting.network.disorder
