"""What one call sends: speech that is encoded here, or packets of another party that are passed on."""

import secrets
from collections.abc import Callable

from offhook.protocol.numbering import Numbering
from offhook.protocol.rtp import TICKS, write_header
from offhook.protocol.speech import MOUTH_FRAME, MOUTH_RATE
from offhook.services.media.codec import Encoder, open_encoder

#: 20 ms of digital silence, as Opus (CELT, full band, mono; RFC 6716 3.1).
SILENT_PACKET = b"\xf8\xff\xfe"
#: Silent frames that are still encoded, so that the end of a sound is heard out: the encoder looks ahead.
HANGOVER = 3
#: Frames without a packet to pass on after which silence is sent instead, so that the caller sees we live (0.5 s).
MAX_QUIET = 25
#: Frames between two looks whether there is something to say while packets are passed on.
LOOK_AGAIN = 5
#: Of the loss that was expected, the part that is still expected after a report of less; and the least that counts.
KEPT_LOSS = 0.7
LEAST_LOSS = 0.01
_SILENCE = bytes(MOUTH_FRAME)


class Speaking:
    """One RTP stream. ``tick`` it each 20 ms; ``relay`` packets whenever they come.

    ``take`` gives ``MOUTH_FRAME`` bytes or None; ``send`` takes an RTP packet. There is a packet for each frame, in
    silence too, so that a caller that hears nothing knows that the connection is lost. Silence is not encoded.
    """

    def __init__(
        self,
        payload_type: int,
        ssrc: int,
        take: Callable[[], bytes | None],
        send: Callable[[bytes], None],
        *,
        sent: Callable[[int, bytes], None] | None = None,
        keys: tuple[int, Callable[[], tuple[bool, bytes] | None]] | None = None,
    ) -> None:
        """``sent`` is told timestamp and payload of each packet of sound.

        ``keys`` are the payload type of telephone-events, and what gives those that take the place of sound.
        """
        self._payload_type = payload_type
        self._ssrc = ssrc
        self._take = take
        self._send = send
        self._sent = sent
        self._keys = keys
        self._encoded: Callable[[], bytes] | None = None
        #: When the key that is pressed began, as its packets tell it.
        self._pressed = 0
        self._is_pressing = False
        # The lower half, so that the first wrap, where receivers may err about the roll-over counter, is far away.
        self._clock = secrets.randbits(32)
        #: What the clock showed in frame 0; known from the first frame on.
        self._began: int | None = None
        self._numbering = Numbering(secrets.randbelow(0x8000), self._clock)
        self._encoder: Encoder | None = None
        self._loss = 0.0
        self._silent = HANGOVER
        #: The frame of now, and of the last packet that was passed on.
        self._frame = 0
        self._relayed = -MAX_QUIET
        self._begun = False
        self.packets = 0
        self.octets = 0

    def timestamp(self, frame: int) -> int:
        """RTP timestamp of a frame; see ``tick``."""
        self._follow(frame)
        return self._numbering.time(self._clock)

    def tick(self, frame: int) -> int:
        """Send the frame that is due; ``frame`` counts all frames of 20 ms, those that were left out too.

        Returns the frames until the next tick: more than one while packets are passed on.
        """
        self._follow(frame)
        event = None if self._keys is None else self._keys[1]()
        self._is_pressing = event is not None
        if self._keys is not None and event is not None:
            self._press(self._keys[0], *event)
            return 1
        if self._encoded is not None:
            self._put(not self._begun, self._numbering.own(self._clock), self._encoded())
            return 1
        pcm = self._take()
        if pcm is None and frame - self._relayed < MAX_QUIET:
            return LOOK_AGAIN
        payload = self._encode(pcm)
        # The marker tells the beginning of a talkspurt (RFC 3551 4.1).
        self._put(not self._begun, self._numbering.own(self._clock), payload)
        return 1

    def relay(self, source: int, marker: bool, sequence: int, timestamp: int, payload: bytes) -> None:
        """Pass on an Opus packet of ``source`` (an SSRC) with the numbers of this stream.

        Ready packets and keys take its place: the caller would hear both in turns, and time would run ahead.
        """
        if self._encoded is not None or self._is_pressing:
            return
        numbers = self._numbering.relayed(source, sequence, timestamp, self._clock)
        if numbers is not None:
            self._relayed = self._frame
            self._put(marker, numbers, payload)

    def play(self, packets: Callable[[], bytes] | None) -> None:
        """Send ready Opus packets of 20 ms instead of what is said, until told to stop with None."""
        self._encoded = packets

    def expect_loss(self, fraction: float) -> None:
        """The caller reports that it lost this part of our packets, 0 to 1. More is believed at once, less slowly."""
        loss = max(fraction, KEPT_LOSS * self._loss)
        self._loss = loss if loss >= LEAST_LOSS else 0.0
        if self._encoder is not None:
            self._encoder.expect_loss(self._loss)

    def _follow(self, frame: int) -> None:
        """Set the clock to a frame. Before the first one packets are passed on already, by the clock as it stands."""
        if self._began is None:
            self._began = self._clock - frame * TICKS
        self._frame = frame
        self._clock = (self._began + frame * TICKS) % 2**32

    def _press(self, payload_type: int, begins: bool, payload: bytes) -> None:
        """A packet of a key: all of them carry the time at which it was pressed (RFC 4733 2.5.1.2)."""
        sequence, timestamp = self._numbering.own(self._clock)
        if begins:
            self._pressed = timestamp
        self.packets += 1
        self.octets += len(payload)
        self._send(write_header(payload_type, begins, sequence, self._pressed, self._ssrc) + payload)

    def _encode(self, pcm: bytes | None) -> bytes:
        if pcm is None or pcm == _SILENCE:
            if self._silent >= HANGOVER:
                return SILENT_PACKET
            self._silent += 1
            pcm = _SILENCE
        else:
            self._silent = 0
        if self._encoder is None:
            self._encoder = open_encoder(MOUTH_RATE)
            self._encoder.expect_loss(self._loss)
        return self._encoder.encode(pcm)

    def _put(self, marker: bool, numbers: tuple[int, int], payload: bytes) -> None:
        self._begun = True
        self.packets += 1
        self.octets += len(payload)
        if self._sent is not None:
            self._sent(numbers[1], payload)
        self._send(write_header(self._payload_type, marker, *numbers, self._ssrc) + payload)
