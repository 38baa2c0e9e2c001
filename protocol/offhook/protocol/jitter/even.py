"""Playing to a person: at an even pace, behind a delay that follows the network."""

import math

from offhook.protocol.jitter.concealing import MAX_CONCEALED, PIECE, Concealing
from offhook.protocol.jitter.decisions import Decision, Decode
from offhook.protocol.jitter.waiting import Counts, Packet, Waiting
from offhook.protocol.opus_packet import QUIET_BYTES
from offhook.protocol.rtp import CLOCK, TICKS

#: The delay behind the fastest packet: at least, and beyond the jitter; seconds.
LEAST_DELAY = 0.01
MARGIN = 0.005
#: Share of packets lost lately from which on the delay leaves room for the packet after a lost one, which holds its
#: redundancy; and how much of the estimate one packet makes.
LOSSY = 0.02
LOSS_MEMORY = 0.01
#: Audio that waits at most, seconds; when more does, all that is too old is dropped.
MOST_WAITING = 0.4
#: Loudest audio that may be dropped, dBFS, by the seconds that are to spare.
_DROPS = ((0.02, -50.0), (0.06, -40.0), (0.2, -25.0))


def loudest_to_drop(spare: float) -> float:
    """How loud audio may be (dBFS, RMS) that is dropped to come ``spare`` seconds nearer; -inf: drop none.

    A little too late, only silence goes; much too late, also the quiet between words.
    """
    return max((loudest for least, loudest in _DROPS if spare >= least), default=-math.inf)


class Even:
    """Decides each piece of time when it is due: ``put`` packets as they come, ``take`` when audio runs out.

    What is taken lasts ``ticks``; who plays takes so much that it never runs out, and plays what it got one after the
    other. The delay grows when a packet that is due is not there (20 ms are made up meanwhile, and a late packet is
    still played), and after each pause of the sender it is what it should be. It shrinks there, too, and where the
    listener drops quiet audio (see ``Decode.spare``).
    """

    def __init__(self) -> None:
        self._waiting = Waiting()
        self._concealing = Concealing(self._waiting)
        #: Ticks in which a packet was awaited, since the last one was played.
        self._waited = 0
        self._silent = True
        self._loss = 0.0
        self._behind = 0.0

    @property
    def counts(self) -> Counts:
        """What became of the packets."""
        return self._waiting.counts

    @property
    def jitter(self) -> float:
        """How much later than the fastest nearly all packets come, seconds."""
        return self._waiting.network.spread

    @property
    def delay(self) -> float:
        """How far behind the fastest packet the last one was played, seconds."""
        return self._behind

    @property
    def aim(self) -> float:
        """How far behind the fastest packet one should be played, seconds."""
        room = TICKS / CLOCK if self._loss > LOSSY else 0.0
        return max(LEAST_DELAY, self._waiting.network.spread + MARGIN) + room

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, sequence: int, timestamp: int, payload: bytes | None, now: float) -> None:
        """A packet, by the numbers of its header; None for the payload of one that holds no audio (a digit)."""
        self._waiting.put(sequence, timestamp, payload, now)

    def take(self, now: float) -> Decision:
        """What to do with the next piece of time."""
        waiting = self._waiting
        if waiting.span > MOST_WAITING:
            self._catch_up()
        packet = self._next(now)
        if packet is None:
            return self._wait()
        left = waiting.network.base + packet.timestamp / CLOCK + self.aim - now
        if waiting.end is None or (packet.sequence == waiting.next and packet.timestamp > waiting.end):
            # The beginning, of the call or after a pause: here the delay is set.
            self._silent = True
            return self._wait() if left > 0 else self._decode(packet, -left)
        missing = packet.timestamp - waiting.end
        if packet.sequence == waiting.next or missing <= 0:
            return self._decode(packet, -left)
        return self._bridge(packet, missing, left)

    def _next(self, now: float) -> Packet | None:
        """The packet to be played next, or the first behind a gap."""
        waiting = self._waiting
        while (packet := waiting.peek() or waiting.first()) is not None and packet.payload is None:
            if packet.sequence != waiting.next:
                if now < packet.arrival + self.aim:
                    return None
                waiting.skip_to(packet)
            waiting.pop()
            self._silent = True
        return packet

    def _bridge(self, packet: Packet, missing: int, left: float) -> Decision:
        """Packets before this one are lost, or late."""
        due = math.ceil(max(0.0, left) * CLOCK)
        if due > missing + TICKS // 2:
            return self._wait()
        # Time that passed while they were awaited counts for them, unless the delay is to grow anyway.
        need = max(due, min(missing - self._waited, MAX_CONCEALED))
        if need < PIECE:
            return self._decode(packet, -left)
        self._waited = 0
        lost = self.counts.lost
        self._concealing.move_on(packet, packet.timestamp - min(need, missing))
        decision = self._concealing.bridge(packet)
        self._note_losses(self.counts.lost - lost)
        return decision

    def _decode(self, packet: Packet, spare: float) -> Decode:
        waiting = self._waiting
        assert packet.payload is not None and waiting.next is not None
        self._note_losses(packet.sequence - waiting.next)
        self._loss *= 1 - LOSS_MEMORY
        waiting.skip_to(packet)
        waiting.pop()
        waiting.end = packet.timestamp + packet.ticks
        waiting.counts.decoded += packet.ticks
        self._concealing.heard()
        self._waited = 0
        self._silent = len(packet.payload) <= QUIET_BYTES
        self._behind = self.aim + spare
        # What does not wait cannot be played instead.
        return Decode(packet.timestamp, packet.ticks, packet.payload, max(0.0, min(spare, waiting.span)))

    def _wait(self) -> Decision:
        self._waited += TICKS
        return self._concealing.wait(silent=self._silent)

    def _note_losses(self, count: int) -> None:
        # An outage is one trouble, not a hundred: redundancy would not help.
        for _ in range(min(count, 3)):
            self._loss += LOSS_MEMORY * (1 - self._loss)

    def _catch_up(self) -> None:
        """Drop the oldest audio until no more waits than should."""
        waiting = self._waiting
        while waiting.span > self.aim + TICKS / CLOCK and (first := waiting.first()) is not None:
            waiting.skip_to(first)
            waiting.pop()
            waiting.counts.dropped += 1
            waiting.end = first.timestamp + first.ticks
