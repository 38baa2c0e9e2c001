"""How the quality of many calls is distributed: counts of values up to some bounds, as Prometheus asks for them."""

from bisect import bisect_left

import msgspec

from offhook.protocol.quality import Quality

#: Seconds. What is below the first is nothing one hears; a path behind the last is none for a conversation.
JITTER_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
ROUND_TRIP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
DELAY_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2)
#: Scores at which users are dissatisfied nearly all, many, some; satisfied; very satisfied (G.107 annex B, table B.1).
OPINION_BOUNDS = (2.0, 2.58, 3.1, 3.6, 4.03, 4.34)


class Distribution(msgspec.Struct, frozen=True):
    """How often values came. It does not change: another thread may read it at any time."""

    #: The highest value that each count is for; the last count is for all that are higher.
    bounds: tuple[float, ...]
    counts: tuple[int, ...] = ()
    total: float = 0.0

    def note(self, value: float) -> "Distribution":
        """The distribution with one value more."""
        counts = list(self.counts or (0,) * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, value)] += 1
        return Distribution(self.bounds, tuple(counts), self.total + value)


class Qualities(msgspec.Struct, frozen=True):
    """Of the qualities that were noted, how what is no count is distributed. It does not change."""

    jitter: Distribution = Distribution(JITTER_BOUNDS)
    round_trip: Distribution = Distribution(ROUND_TRIP_BOUNDS)
    delay: Distribution = Distribution(DELAY_BOUNDS)
    opinion: Distribution = Distribution(OPINION_BOUNDS)

    def note(self, quality: Quality | None) -> "Qualities":
        """With one more; one of which nothing has come yet tells nothing."""
        if quality is None or quality.received == 0:
            return self
        return Qualities(
            jitter=self.jitter.note(quality.jitter),
            round_trip=self.round_trip if quality.round_trip is None else self.round_trip.note(quality.round_trip),
            delay=self.delay.note(quality.delay),
            opinion=self.opinion if quality.mos is None else self.opinion.note(quality.mos),
        )
