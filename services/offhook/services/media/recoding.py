"""Packets of other lengths than 20 ms made into such: the one case in which a recording is encoded again."""

from offhook.protocol.recording import Packet, parse
from offhook.services.media.codec import Encoder, open_decoder, open_encoder
from offhook.services.media.opus import Decoder

#: Hz at which the sound passes; speech has nothing above it.
_RATE = 24_000
_UNIT = _RATE // 50 * 2
#: Ticks of the RTP clock in one sample at this rate.
_TICKS_PER_SAMPLE = 48_000 // _RATE


class Recoder:
    """The packets of one side. Costs nothing before its first packet."""

    def __init__(self) -> None:
        self._codec: tuple[Decoder, Encoder] | None = None
        self._pcm = b""
        #: RTP timestamp of the first sample that waits, and the one that must follow the last.
        self._begin = 0
        self._end = 0

    def recode(self, timestamp: int, payload: bytes) -> tuple[int, list[Packet]]:
        """The units of 20 ms that are complete with this packet, and the RTP timestamp of the first."""
        if self._codec is None:
            self._codec = open_decoder(_RATE), open_encoder(_RATE)
        decoder, encoder = self._codec
        if timestamp != self._end or not self._pcm:
            # Less than 20 ms wait for a packet that did not come: they are given up.
            self._pcm, self._begin = b"", timestamp
        self._pcm += decoder.decode(payload)
        begin, made = self._begin, []
        while len(self._pcm) >= _UNIT:
            made.append(parse(encoder.encode(self._pcm[:_UNIT])))
            self._pcm = self._pcm[_UNIT:]
        self._begin = (begin + len(made) * 960) % 2**32
        self._end = (self._begin + len(self._pcm) // 2 * _TICKS_PER_SAMPLE) % 2**32
        return begin, made
