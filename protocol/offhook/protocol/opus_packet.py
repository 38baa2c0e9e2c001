"""What an Opus packet tells without being decoded (RFC 6716 3.1)."""

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


def may_hold_redundancy(packet: bytes) -> bool:
    """Whether the frame before this packet may be recovered from it: not in CELT-only mode (RFC 6716 2.1.7)."""
    return len(packet) > QUIET_BYTES and packet[0] >> 3 < 16
