"""Mixing sound, sample by sample. Pure."""

from collections.abc import Sequence

import numpy as np

_LOWEST, _HIGHEST = -32_768, 32_767


def mix(frames: Sequence[bytes]) -> bytes:
    """The sum of some frames (s16le, all of one length); what is too loud for 16 bits is cut off there.

    Nothing is made quieter: of few people in a call one talks at a time, and who talks should stay as loud.
    """
    if len(frames) == 1:
        return frames[0]
    total = np.frombuffer(frames[0], "<i2").astype(np.int32)
    for frame in frames[1:]:
        total += np.frombuffer(frame, "<i2")
    return bytes(total.clip(_LOWEST, _HIGHEST).astype("<i2").tobytes())
