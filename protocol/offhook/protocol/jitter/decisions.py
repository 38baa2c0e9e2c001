"""What to do with the next piece of time. ``ticks`` are of the RTP clock, 48 kHz (RFC 7587 4.1)."""

import msgspec


class Decode(msgspec.Struct, frozen=True):
    """Decode this packet."""

    timestamp: int
    ticks: int
    payload: bytes
    #: Seconds by which this comes later than the network asks for. A listener may drop the audio, once it is decoded,
    #: if it is no louder than ``loudest_to_drop(spare)``, and ask again at once.
    spare: float = 0.0


class Recover(msgspec.Struct, frozen=True):
    """A packet is lost: recover it from the redundancy in ``following``, which comes after it (RFC 6716 2.1.7)."""

    timestamp: int
    ticks: int
    following: bytes


class Conceal(msgspec.Struct, frozen=True):
    """Go on with what was heard last, fading. ``timestamp`` is that of the lost audio.

    Without one, a packet is awaited that may only be late: time passes for the listener, none for the sender.
    """

    ticks: int
    timestamp: int | None = None


class Quiet(msgspec.Struct, frozen=True):
    """Silence: nothing was sent, nothing is there yet, or too much is missing to be made up."""

    ticks: int


Decision = Decode | Recover | Conceal | Quiet
