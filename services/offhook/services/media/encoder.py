"""Encoding with libopus: speech to packets, mono at any rate Opus knows."""

from offhook.services.media.opus import OpusMissing, ffi, load_opus

_VOIP = 2048
#: opus_defines.h: the requests we make at the beginning, with our values: bits per second, complexity.
_SETTINGS = {4002: 32_000, 4010: 5}
#: In-band FEC on or off, loss expected (%), kind of signal: the requests that follow the loss.
_FEC, _LOSS, _SIGNAL = 4012, 4014, 4024
_SPEECH = 3001
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
            self._set(request, value)
        self._set(_SIGNAL, _SPEECH)
        self._out = ffi.new("unsigned char[]", _MAX_PACKET)

    def expect_loss(self, fraction: float) -> None:
        """Prepare for the loss of this part of the packets, 0 to 1: redundancy costs quality and time."""
        self._set(_FEC, int(fraction > 0))
        self._set(_LOSS, min(round(100 * fraction), 100))

    def encode(self, pcm: bytes) -> bytes:
        """One packet for one frame of 20 ms (or another length Opus knows)."""
        size = self._lib.opus_encode(
            self._state, ffi.from_buffer("int16_t[]", pcm), len(pcm) // 2, self._out, _MAX_PACKET
        )
        if size < 0:
            raise ValueError(f"opus_encode failed with {size}")
        return bytes(ffi.buffer(self._out, size))

    def _set(self, request: int, value: int) -> None:
        self._lib.opus_encoder_ctl(self._state, request, ffi.cast("int", value))
