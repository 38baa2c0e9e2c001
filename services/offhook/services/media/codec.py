"""Which Opus codec this machine has: libopus called directly, or FFmpeg's way to it in PyAV.

PyAV works wherever it can be imported, but hides what libopus can do about loss: redundancy is not read, a lost frame
is made up by letting the last one fade away, and a frame costs about three times as much. ``offhook doctor`` tells
which one is used.
"""

import logging
from enum import Enum
from functools import cache

from offhook.services.media.av_codec import AvDecoder, AvEncoder
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.opus import Decoder, OpusDecoder, OpusMissing, load_opus

Encoder = OpusEncoder | AvEncoder

log = logging.getLogger("offhook.media")


class Codec(Enum):
    """What encodes and decodes Opus."""

    LIBOPUS = "libopus"
    PYAV = "PyAV"


@cache
def find_codec() -> Codec:
    """The better codec of those that work here. Raises ``OpusMissing`` when none does."""
    try:
        load_opus()
    except OpusMissing:
        AvDecoder(48_000)
        log.warning("libopus cannot be loaded, PyAV is used")
        return Codec.PYAV
    return Codec.LIBOPUS


def open_decoder(rate: int) -> Decoder:
    """A decoder for mono at ``rate`` Hz."""
    return OpusDecoder(rate) if find_codec() is Codec.LIBOPUS else AvDecoder(rate)


def open_encoder(rate: int) -> Encoder:
    """An encoder for mono speech at ``rate`` Hz."""
    return OpusEncoder(rate) if find_codec() is Codec.LIBOPUS else AvEncoder(rate)
