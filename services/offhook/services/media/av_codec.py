"""Opus through PyAV, for machines on which libopus cannot be called directly."""

from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from av.audio.resampler import AudioResampler

from offhook.services.media.opus import OpusMissing

#: FFmpeg's names for it: with libopus, and its own.
_DECODERS = ("libopus", "opus")
_WIRE_RATE = 48_000
#: What is left of the level of a made-up frame in the one after it.
_FADE = 0.5


def _open(name: str, mode: Literal["r", "w"]) -> Any:
    try:
        return av.CodecContext.create(name, mode)
    except (ValueError, av.FFmpegError) as error:
        raise OpusMissing(f"PyAV has no {name} codec: install it from a wheel.") from error


class AvDecoder:
    """The ``Decoder`` on PyAV. Raises ``OpusMissing`` where FFmpeg knows no Opus."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        name = next((name for name in _DECODERS if name in av.codecs_available), _DECODERS[0])
        self._codec = _open(name, "r")
        self._codec.sample_rate = _WIRE_RATE
        self._codec.layout = "mono"
        self._resampler = AudioResampler(format="s16", layout="mono", rate=rate)
        self._last = b""

    def decode(self, packet: bytes) -> bytes:
        """See ``Decoder``."""
        try:
            frames = self._codec.decode(av.Packet(packet)) if packet else []
        except av.FFmpegError:
            frames = []
        pcm = b"".join(
            bytes(piece.planes[0])[: piece.samples * 2] for frame in frames for piece in self._resampler.resample(frame)
        )
        if not pcm:
            return self.conceal(self.rate // 50)
        self._last = pcm[-self.rate // 50 * 2 :]
        return pcm

    def recover(self, following: bytes, samples: int) -> bytes:  # noqa: ARG002 - FFmpeg does not read the redundancy
        """See ``Decoder``."""
        return self.conceal(samples)

    def conceal(self, samples: int) -> bytes:
        """See ``Decoder``."""
        if not self._last:
            return bytes(2 * samples)
        faded = (np.frombuffer(self._last, "<i2") * _FADE).astype("<i2")
        self._last = faded.tobytes()
        return bytes(np.resize(faded, samples).tobytes())


class AvEncoder:
    """Speech to packets with PyAV: s16le mono at ``rate`` Hz, 20 ms each."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._codec = _open("libopus", "w")
        self._codec.sample_rate = rate
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self._codec.bit_rate = 32_000
        self._codec.time_base = Fraction(1, rate)
        # The expected loss is fixed when FFmpeg opens the encoder: some is always expected.
        self._codec.options = {"application": "voip", "compression_level": "5", "fec": "1", "packet_loss": "10"}
        self._sent = 0

    def expect_loss(self, fraction: float) -> None:
        """Cannot be changed in FFmpeg; does nothing."""

    def encode(self, pcm: bytes) -> bytes:
        """One packet for one frame of 20 ms."""
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.planes[0].update(pcm)
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._sent
        self._sent += len(pcm) // 2
        return b"".join(map(bytes, self._codec.encode(frame)))
