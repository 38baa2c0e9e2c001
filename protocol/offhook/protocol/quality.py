"""How the audio of a call fared, and what a listener would think of it (ITU-T G.107, the E-model).

The opinion is an estimate of planners, not a measurement: it knows loss and delay, not the voice. Opus has no entry in
G.113; it is taken for G.711 with concealment, which it is not worse than.
"""

import math

import msgspec

#: Rating of a connection with nothing wrong (G.107 7.1 with the default values of table 1).
BEST_RATING = 93.2
#: G.711 with concealment (G.113 appendix I): how much the codec itself takes, and how well it bears random loss.
_IMPAIRMENT, _ROBUSTNESS = 0.0, 25.1
#: Beside network and jitter buffer: the frame that is collected, and what the codec looks ahead, seconds.
CODEC_DELAY = 0.0265
#: A microphone that is never louder is switched off, or none, dBov: a quiet room has about -60.
SILENT = -80


class Quality(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has become of a call's packets since its connection came up. Times and durations in seconds."""

    #: The caller's packets: those that came, those that never did, and how unevenly they come (RFC 3550 6.4.1).
    received: int = 0
    lost: int = 0
    jitter: float = 0.0
    #: Audio of the caller that was heard as it was sent, recovered from redundancy, and made up.
    heard: float = 0.0
    recovered: float = 0.0
    concealed: float = 0.0
    #: How long the last packet waited for those before it.
    delay: float = 0.0
    #: Packets to the caller, and what it reports of them; nothing where it reports nothing.
    sent: int = 0
    lost_there: int = 0
    jitter_there: float = 0.0
    #: From us to the caller and back; None until it has reported.
    round_trip: float | None = None
    #: How loud the caller's loudest packet was, dBov (RFC 6464): 0 to -127, which is silence; None if it does not tell.
    loudest: int | None = None
    #: Mean opinion score of the caller's audio, 1 to 4.5; None until some has come.
    mos: float | None = None

    @property
    def loss(self) -> float:
        """Part of the caller's packets that was lost, 0 to 1."""
        return self.lost / (self.received + self.lost) if self.lost > 0 else 0.0

    @property
    def is_silent(self) -> bool:
        """Whether the caller's microphone gave no sound, as far as we were told."""
        return self.loudest is not None and self.loudest <= SILENT

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        return all(math.isfinite(value) for value in msgspec.structs.astuple(self) if value is not None)


def add(earlier: Quality | None, later: Quality | None) -> Quality | None:
    """The quality of two connections, one after the other: sums of counts, the louder one, the rest of the later."""
    if earlier is None or later is None:
        return later or earlier
    told = [one.loudest for one in (earlier, later) if one.loudest is not None]
    summed = ("received", "lost", "heard", "recovered", "concealed", "sent", "lost_there")
    sums = {name: getattr(earlier, name) + getattr(later, name) for name in summed}
    return msgspec.structs.replace(later, **sums, loudest=max(told, default=None))


def rate(quality: Quality) -> Quality:
    """``quality`` with the opinion it deserves."""
    if quality.received == 0:
        return quality
    one_way = (quality.round_trip or 0.0) / 2 + quality.jitter + quality.delay + CODEC_DELAY
    return msgspec.structs.replace(quality, mos=round(opinion(rating(one_way, missing(quality))), 2))


def missing(quality: Quality) -> float:
    """The part of the caller's audio that nobody heard as it was sent, 0 to 1: what G.107 calls packet loss, Ppl.

    Of audio that is decoded it is what was made up (lost, or too late), or, if that is more, the part of the packets
    that was lost less what was recovered: after 100 ms nothing is made up any more, and a long outage is not even
    filled, so that it stands among the packets only. Silence that the caller left out (DTX) has no packets and counts
    for neither.
    """
    made = quality.heard + quality.recovered + quality.concealed
    if made <= 0:
        # Nothing is decoded here: somebody else has to make up for what is lost.
        return quality.loss
    return max(quality.concealed / made, quality.loss - quality.recovered / made)


def rating(one_way: float, loss: float) -> float:
    """The rating R of a connection: mouth to ear in ``one_way`` seconds, ``loss`` (0 to 1) of its audio missing.

    G.107 7.1 (equation 7-1) with defaults for everything else, 7.4 for the delay (7-27, 7-28) and 7.5 for the loss,
    taken to be random (7-29).
    """
    milliseconds = 1000 * one_way
    delayed = 0.0
    if milliseconds > 100:
        x = math.log2(milliseconds / 100)
        delayed = 25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    percent = 100 * min(max(loss, 0.0), 1.0)
    lossy = _IMPAIRMENT + (95 - _IMPAIRMENT) * percent / (percent + _ROBUSTNESS)
    return BEST_RATING - delayed - lossy


def opinion(rating: float) -> float:
    """The mean opinion score for a rating (G.107 annex B, equation B-4)."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)
