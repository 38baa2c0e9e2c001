"""What the voice process and its speech workers say to each other, and how it is framed on their pipes.

A frame is its length (four bytes, big endian) and one msgpack message. Orders go down a worker's standard input,
replies come up its standard output; each names the job it belongs to, so that many calls share one worker.
"""

from collections.abc import Iterator
from typing import IO

import msgspec

from offhook.protocol.speech import Heard, Hints, Voice

#: A longer frame means that the stream is out of step; nothing we send comes near it.
FRAME_LIMIT = 16 * 1024 * 1024

# ── orders to a recognizer ─────────────────────────────────────────────────────────────────────────────────────────


class Open(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Begin an utterance."""

    job: int
    hints: Hints
    speaker: str


class Feed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """More audio of it (``EAR_RATE``)."""

    job: int
    pcm: bytes


class Finish(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """That was all of it: reply ``Recognized`` or ``Failed``."""

    job: int


class Drop(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Nobody waits for this utterance any more."""

    job: int


class Forget(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """This speaker has left."""

    speaker: str


RecognizerOrder = Open | Feed | Finish | Drop | Forget

# ── orders to a synthesizer ────────────────────────────────────────────────────────────────────────────────────────


class Speak(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Say this: reply ``Spoken`` until its last one, or ``Failed``."""

    job: int
    text: str
    voice: Voice


class Stop(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Nobody listens to this any more."""

    job: int


SynthesizerOrder = Speak | Stop

# ── replies ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Recognized(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The words of an utterance."""

    job: int
    heard: Heard


class Spoken(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A piece of speech (``MOUTH_RATE``) with the words that begin in it as (sample, end in the text)."""

    job: int
    pcm: bytes
    words: list[tuple[int, int]]
    last: bool


class Failed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The job could not be done; nothing more comes for it."""

    job: int
    message: str


Reply = Recognized | Spoken | Failed

_encoder = msgspec.msgpack.Encoder()


def pack(message: msgspec.Struct) -> bytes:
    """One frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class Unpacker:
    """Cuts a byte stream into the bodies of its frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Bodies completed by ``data``. Raises ``ValueError`` when the stream is out of step."""
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > FRAME_LIMIT:
                raise ValueError(f"frame of {length} bytes")
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            yield body


def read_body(stream: IO[bytes]) -> bytes | None:
    """Wait for one frame; None when the other side has gone. Raises ``ValueError`` when out of step."""
    header = stream.read(4)
    if len(header) < 4:
        return None
    length = int.from_bytes(header, "big")
    if length > FRAME_LIMIT:
        raise ValueError(f"frame of {length} bytes")
    body = stream.read(length)
    return body if len(body) == length else None
