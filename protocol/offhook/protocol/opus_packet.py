"""What an Opus packet tells without being decoded (RFC 6716 3.1)."""

from offhook.protocol.recording.packets import BadPacket, parse
from offhook.protocol.rtp import TICKS

#: The longest packet holds 120 ms (RFC 6716 3.2.5).
LONGEST_TICKS = 5760
#: A packet this short holds no sound: the sender keeps quiet (DTX) and says that it lives (RFC 6716 2.1.9).
QUIET_BYTES = 2


def _frame_ticks(config: int) -> int:
    """Length of one frame by its configuration number (RFC 6716 3.1, table 2)."""
    if config < 12:
        return (480, 960, 1920, 2880)[config % 4]
    if config < 16:
        return (480, 960)[config % 2]
    return (120, 240, 480, 960)[config % 4]


_TICKS = tuple(_frame_ticks(byte >> 3) for byte in range(256))


def ticks_of(packet: bytes) -> int:
    """How long the audio of ``packet`` lasts, in ticks of ``CLOCK``; 20 ms for one that cannot be read."""
    if not packet:
        return TICKS
    code = packet[0] & 3
    if code == 0:
        return _TICKS[packet[0]]
    # Code 3 tells the count in its second byte (RFC 6716 3.2.5).
    count = 2 if code < 3 else (packet[1] & 63 if len(packet) > 1 else 0)
    ticks = count * _TICKS[packet[0]]
    return ticks if 0 < ticks <= LONGEST_TICKS else TICKS


def redundant_ticks(packet: bytes) -> int:
    """How much of the time before this packet can be recovered from it, ticks; 0 where it holds no redundancy.

    A packet whose encoder was told of losses may hold the frame before it once more, coarser (LBRR, RFC 6716 2.1.7).
    Only what its first frame holds can be had (``opus_decode`` with ``decode_fec``). The frame begins with a bit for
    each piece of 20 ms that tells of speech (VAD) and one that tells of redundancy, for each channel (RFC 6716 4.2.3,
    4.2.4); these can be read from its first byte as they are. In CELT-only mode there is none.
    """
    if len(packet) <= QUIET_BYTES or packet[0] >= 0x80:
        return 0
    try:
        first = parse(packet).frames[0]
    except BadPacket:
        return 0
    if not first:
        return 0
    ticks = _TICKS[packet[0]]
    pieces = max(1, ticks // TICKS)
    flags = 1 << (7 - pieces)
    if packet[0] & 4:
        # Stereo: the middle, then the sides.
        flags |= 1 << (6 - 2 * pieces)
    return ticks if first[0] & flags else 0
