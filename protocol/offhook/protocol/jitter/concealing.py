"""What is put where packets are missing."""

from offhook.protocol.jitter.decisions import Conceal, Quiet, Recover
from offhook.protocol.jitter.waiting import Packet, Waiting
from offhook.protocol.opus_packet import redundant_ticks
from offhook.protocol.rtp import CLOCK, TICKS

#: The most that is made up in a row, ticks (100 ms); what goes on longer would be invented.
MAX_CONCEALED = CLOCK // 10
#: Decoders conceal whole pieces of 2.5 ms; what is shorter is not worth it.
PIECE = CLOCK // 400


class Concealing:
    """Fills the time for which there is no packet, and sees to it that not too much is made up."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._in_a_row = 0

    def heard(self) -> None:
        """True audio was played: some may be made up again."""
        self._in_a_row = 0

    def bridge(self, packet: Packet) -> Conceal | Quiet | Recover:
        """The next piece of the time before ``packet``, whose predecessors are lost. Moves ``end`` on."""
        waiting, counts = self._waiting, self._waiting.counts
        assert waiting.end is not None and packet.payload is not None
        left = packet.timestamp - waiting.end
        if left - packet.ticks < PIECE:
            ticks, start = max(PIECE, left // PIECE * PIECE), waiting.end
            self.move_on(packet, packet.timestamp)
            self._in_a_row += ticks
            # A frame is recovered whole or not at all; the decoder makes up what else the lost packet had.
            if 0 < (kept := redundant_ticks(packet.payload)) <= left:
                counts.recovered += kept
                counts.concealed += max(0, ticks - kept)
                return Recover(start, ticks, packet.payload)
            return self._made_up(ticks, start)
        ticks, start = min(TICKS, (left - packet.ticks) // PIECE * PIECE), waiting.end
        self.move_on(packet, start + ticks)
        self._in_a_row += ticks
        return self._made_up(ticks, start)

    def wait(self, *, silent: bool) -> Conceal | Quiet:
        """20 ms in which nothing is there yet; ``silent`` when nothing is expected to be."""
        self._in_a_row += TICKS
        if silent:
            self._in_a_row = MAX_CONCEALED + 1
        return self._made_up(TICKS, None)

    def move_on(self, packet: Packet, end: int) -> None:
        """``end`` was reached on the way to ``packet``: what should have begun before it is given up.

        Each missing packet counts as long as ``packet``.
        """
        waiting = self._waiting
        assert waiting.next is not None
        waiting.end = end
        missing = (packet.timestamp - end) // packet.ticks
        over = min(packet.sequence, max(waiting.next, packet.sequence - missing)) - waiting.next
        waiting.counts.lost += over
        waiting.next += over

    def _made_up(self, ticks: int, start: int | None) -> Conceal | Quiet:
        if self._in_a_row > MAX_CONCEALED:
            self._waiting.counts.quiet += ticks
            return Quiet(ticks)
        self._waiting.counts.concealed += ticks
        return Conceal(ticks, start)
