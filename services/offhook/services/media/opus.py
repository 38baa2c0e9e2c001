"""libopus itself, and decoding with it: mono at any of its rates, with in-band FEC and concealment.

The wheel of PyAV carries the library; calling it directly costs a third of going through FFmpeg's frames and
resampler, and gives what FFmpeg hides: loss concealment, forward error correction, and encoding at 24 kHz without a
resampler (an Opus stream is 48 kHz on the wire whatever the rate of its ends, RFC 7587 4.1).
"""

import ctypes.util
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import av
import cffi  # type: ignore[import-untyped]

_DECLARATIONS = """
typedef struct OpusEncoder OpusEncoder;
typedef struct OpusDecoder OpusDecoder;
OpusEncoder *opus_encoder_create(int32_t rate, int channels, int application, int *error);
int opus_encoder_ctl(OpusEncoder *encoder, int request, ...);
int32_t opus_encode(OpusEncoder *encoder, const int16_t *pcm, int samples, unsigned char *data, int32_t size);
void opus_encoder_destroy(OpusEncoder *encoder);
OpusDecoder *opus_decoder_create(int32_t rate, int channels, int *error);
int opus_decode(OpusDecoder *decoder, const unsigned char *data, int32_t size, int16_t *pcm, int samples, int fec);
void opus_decoder_destroy(OpusDecoder *decoder);
"""
#: The longest packet holds 120 ms (RFC 6716 2.1.4).
_LONGEST = 0.12

ffi = cffi.FFI()
ffi.cdef(_DECLARATIONS)


class OpusMissing(RuntimeError):
    """No libopus was found, neither in the wheel of PyAV nor in the system."""


@cache
def load_opus() -> Any:
    """The library, loaded once. Raises ``OpusMissing``."""
    package = Path(av.__file__).parent
    inside = sorted(
        path for folder in (package.parent / "av.libs", package / ".dylibs") for path in folder.glob("libopus*")
    )
    for name in [*map(str, inside), ctypes.util.find_library("opus")]:
        if name is not None:
            try:
                return ffi.dlopen(name)
            except OSError:
                continue
    raise OpusMissing("Install libopus, or PyAV from a wheel.")


class Decoder(Protocol):
    """Packets to audio: s16le mono at ``rate`` Hz. Never raises, whatever a packet holds."""

    rate: int

    def decode(self, packet: bytes) -> bytes:
        """The audio of a packet of up to 120 ms; of a damaged one, 20 ms of concealment."""

    def recover(self, following: bytes, samples: int) -> bytes:
        """So many samples of a lost packet, from the redundancy in the packet after it if there is any."""

    def conceal(self, samples: int) -> bytes:
        """So many samples that continue what was heard last and fade away."""


class OpusDecoder:
    """The ``Decoder`` on libopus. Raises ``OpusMissing`` where there is none."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._lib = load_opus()
        error = ffi.new("int *")
        self._state = ffi.gc(self._lib.opus_decoder_create(rate, 1, error), self._lib.opus_decoder_destroy)
        if error[0]:
            raise OpusMissing(f"opus_decoder_create failed with {error[0]}")
        self._longest = int(rate * _LONGEST)
        self._out = ffi.new("int16_t[]", self._longest)

    def decode(self, packet: bytes) -> bytes:
        """See ``Decoder``."""
        samples = self._lib.opus_decode(self._state, packet, len(packet), self._out, self._longest, 0) if packet else 0
        return self._take(samples) if samples > 0 else self.conceal(self.rate // 50)

    def recover(self, following: bytes, samples: int) -> bytes:
        """See ``Decoder``; in whole pieces of 2.5 ms (RFC 6716 2.1.7, ``opus_decode`` with ``decode_fec``)."""
        wanted = self._bounded(samples)
        got = self._lib.opus_decode(self._state, following, len(following), self._out, wanted, 1)
        return self._take(got) if got > 0 else self.conceal(samples)

    def conceal(self, samples: int) -> bytes:
        """See ``Decoder``; in whole pieces of 2.5 ms."""
        wanted = self._bounded(samples)
        got = self._lib.opus_decode(self._state, ffi.NULL, 0, self._out, wanted, 0)
        return self._take(got) if got > 0 else bytes(2 * wanted)

    def _bounded(self, samples: int) -> int:
        piece = self.rate // 400
        return max(piece, min(samples, self._longest) // piece * piece)

    def _take(self, samples: int) -> bytes:
        return bytes(ffi.buffer(self._out, 2 * samples))
