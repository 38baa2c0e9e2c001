"""Encoding with libopus: speech to packets, mono at any rate Opus knows.

Opus has two ways to encode a voice. Its speech coder (hybrid with CELT above 8 kHz) sounds good at few bits and can
repeat a packet inside the next one, but costs three times the CPU. CELT alone sounds as good with twice the bits. So
CELT is used as long as the caller loses nothing, and speech with redundancy when it does, where fewer bits help too.

Measured with libopus 1.6.1 on 33 s of two synthetic voices at 24 kHz, complexity 5 (PESQ wide band, 4.64 is the best):
hybrid 32 kb/s 4.36 at 6.4 ms of CPU a second, with redundancy for 5 to 10 % loss about 4.2 at 9 to 12 ms; CELT 64 kb/s
4.32 at 2.3 ms, 48 kb/s 4.09, 32 kb/s 3.58, 24 kb/s 3.26.
"""

from offhook.services.media.opus import OpusMissing, ffi, load_opus

_VOIP = 2048
#: Requests of opus_defines.h: bits per second, complexity, in-band FEC, loss expected (%), kind of signal.
_BITRATE, _COMPLEXITY, _FEC, _LOSS, _SIGNAL = 4002, 4010, 4012, 4014, 4024
_SPEECH, _MUSIC = 3001, 3002
#: What is requested: always, without loss ("music" makes the encoder choose CELT), and with it.
_ALWAYS = {_COMPLEXITY: 5}
_WITHOUT_LOSS = {_SIGNAL: _MUSIC, _BITRATE: 64_000, _FEC: 0, _LOSS: 0}
_WITH_LOSS = {_SIGNAL: _SPEECH, _BITRATE: 32_000, _FEC: 1}
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
        self._request(_ALWAYS | _WITHOUT_LOSS)
        self._out = ffi.new("unsigned char[]", _MAX_PACKET)

    def expect_loss(self, fraction: float) -> None:
        """Prepare for the loss of this part of the packets, 0 to 1. May be called at any time."""
        percent = min(round(100 * fraction), 100)
        self._request(_WITH_LOSS | {_LOSS: percent} if percent > 0 else _WITHOUT_LOSS)

    def encode(self, pcm: bytes) -> bytes:
        """One packet for one frame of 20 ms (or another length Opus knows)."""
        size = self._lib.opus_encode(
            self._state, ffi.from_buffer("int16_t[]", pcm), len(pcm) // 2, self._out, _MAX_PACKET
        )
        if size < 0:
            raise ValueError(f"opus_encode failed with {size}")
        return bytes(ffi.buffer(self._out, size))

    def _request(self, settings: dict[int, int]) -> None:
        for request, value in settings.items():
            self._lib.opus_encoder_ctl(self._state, request, ffi.cast("int", value))
