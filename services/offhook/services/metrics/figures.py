"""What is told of a process. Figures are read from what is there when somebody asks, never counted beside it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from offhook.protocol.distribution import Distribution, Qualities
from offhook.protocol.quality import Quality


class Figure(msgspec.Struct, frozen=True):
    """One figure, with a value for each value of its label."""

    #: Name by Prometheus' conventions, with its unit, without ``_total``.
    name: str
    meaning: str
    kind: Literal["gauge", "counter"]
    #: Empty: the only value stands under "".
    label: str
    values: dict[str, float]


class Histogram(msgspec.Struct, frozen=True):
    """How one figure is distributed."""

    #: Name by Prometheus' conventions, with its unit.
    name: str
    meaning: str
    values: Distribution


#: Gives the figures of now. Called from another thread: it only reads.
Read = Callable[[], Iterable[Figure | Histogram]]


def call_figures(calls: int) -> list[Figure]:
    """Of a gateway that owns so many calls."""
    return [Figure("offhook_calls", "Living calls that this gateway owns.", "gauge", "", {"": calls})]


def media_figures(connections: int, quality: Quality, dropped: Mapping[str, int]) -> list[Figure]:
    """Of a voice node: open connections, the ``quality`` of all there were, and datagrams ``dropped`` by kind."""
    expected = quality.received + max(0, quality.lost)
    return [
        Figure("offhook_media_connections", "Peer connections that are open.", "gauge", "", {"": connections}),
        Figure("offhook_media_packets", "Media packets received from callers, and sent to them.", "counter",
               "direction", {"in": quality.received, "out": quality.sent}),
        Figure("offhook_media_packets_expected", "Media packets that callers have sent, by their numbers.", "counter",
               "", {"": expected}),
        Figure("offhook_media_audio_seconds", "Audio of callers: heard as it was sent, recovered from redundancy, or "
               "concealed.", "counter", "how",
               {"heard": quality.heard, "recovered": quality.recovered, "concealed": quality.concealed}),
        Figure("offhook_media_datagrams_dropped", "Datagrams that the guards of calls have dropped.", "counter", "kind",
               dict(dropped)),
    ]  # fmt: skip


def quality_figures(qualities: Qualities) -> list[Histogram]:
    """Of a voice node: how the audio of its calls fares, a look each half minute of a call and one at its end."""
    return [
        Histogram("offhook_media_jitter_seconds", "How unevenly packets of callers come (RFC 3550 6.4.1).",
                  qualities.jitter),
        Histogram("offhook_media_round_trip_seconds", "From the node to callers and back, as their reports tell it.",
                  qualities.round_trip),
        Histogram("offhook_media_buffer_delay_seconds", "How long packets of callers waited for those before them.",
                  qualities.delay),
        Histogram("offhook_media_mean_opinion_score", "Estimate of what listeners think of callers' audio, 1 to 4.5 "
                  "(G.107).", qualities.opinion),
    ]  # fmt: skip
