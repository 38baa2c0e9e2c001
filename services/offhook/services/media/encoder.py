"""Encoding with libopus: speech to packets, mono at any rate Opus knows."""

from offhook.services.media.opus import OpusMissing, ffi, load_opus

_VOIP = 2048
#: opus_defines.h: the requests we make, with our values: bits per second, complexity, FEC on, loss expected (%),
#: speech.
_SETTINGS = {4002: 32_000, 4010: 5, 4012: 1, 4014: 10, 4024: 3001}
#: The longest packet there is, bytes (RFC 6716 3.4).
_MAX_PACKET = 1275


class OpusEncoder:
    """Speech to packets: s16le mono at ``rate`` Hz."""

    def __init__(self, rate: int) -> None:
        self._lib = load_opus()
        error = ffi.new("int *")
        self._state = ffi.gc(self._lib.opus_encoder_create(rate, 1, _VOIP, error), self._lib.opus_encoder_destroy)
        if error[0]:
            raise OpusMissing(f"opus_encoder_create failed with {error[0]}")
        for request, value in _SETTINGS.items():
            self._lib.opus_encoder_ctl(self._state, request, ffi.cast("int", value))
        self._out = ffi.new("unsigned char[]", _MAX_PACKET)

    def encode(self, pcm: bytes) -> bytes:
        """One packet for one frame of 20 ms (or another length Opus knows)."""
        size = self._lib.opus_encode(
            self._state, ffi.from_buffer("int16_t[]", pcm), len(pcm) // 2, self._out, _MAX_PACKET
        )
        if size < 0:
            raise ValueError(f"opus_encode failed with {size}")
        return bytes(ffi.buffer(self._out, size))
