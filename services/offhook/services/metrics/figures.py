"""What is told of a process. Figures are read from what is there when somebody asks, never counted beside it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

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


#: Gives the figures of now. Called from another thread: it only reads.
Read = Callable[[], Iterable[Figure]]


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
