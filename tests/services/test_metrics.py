"""Figures for Prometheus: read when asked, whole, and of the calls that really are there."""

import socket
from collections.abc import Iterable

import pytest
from usage import figures_at

from offhook.protocol.distribution import Qualities
from offhook.protocol.quality import Quality
from offhook.services.metrics import Figure, call_figures, media_figures, quality_figures
from offhook.services.metrics.serving import open_metrics
from offhook.services.settings import ROLES, Address, BadSetup, metrics_of


def test_figures_are_those_of_the_moment() -> None:
    calls = [3]

    def read() -> Iterable[Figure]:
        return call_figures(calls[0])

    with open_metrics(Address("127.0.0.1", 0), read) as port:
        assert figures_at(port)["offhook_calls", ""] == 3
        calls[0] = 1
        figures = figures_at(port)
    assert figures["offhook_calls", ""] == 1
    assert figures["process_resident_memory_bytes", ""] > 1_000_000
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port), 1):
        pass


def test_media_is_told_in_counters() -> None:
    quality = Quality(received=100, lost=7, heard=2.0, recovered=0.1, concealed=0.04, sent=90)
    with open_metrics(Address("127.0.0.1", 0), lambda: media_figures(2, quality, {"not_ours": 5})) as port:
        figures = figures_at(port)
    assert figures["offhook_media_connections", ""] == 2
    assert figures["offhook_media_packets_total", "in"] == 100
    assert figures["offhook_media_packets_total", "out"] == 90
    assert figures["offhook_media_packets_expected_total", ""] == 107
    assert figures["offhook_media_audio_seconds_total", "concealed"] == 0.04
    assert figures["offhook_media_datagrams_dropped_total", "not_ours"] == 5


def test_how_calls_fare_is_told_in_histograms() -> None:
    qualities = Qualities()
    for jitter, mos in ((0.002, 4.4), (0.03, 3.2), (1.0, 1.5)):
        qualities = qualities.note(Quality(received=1, jitter=jitter, round_trip=0.02, delay=0.01, mos=mos))
    with open_metrics(Address("127.0.0.1", 0), lambda: quality_figures(qualities)) as port:
        figures = figures_at(port)
    jitter_at = {bound: figures["offhook_media_jitter_seconds_bucket", bound] for bound in ("0.001", "0.0025", "0.04")}
    assert jitter_at == {"0.001": 0, "0.0025": 1, "0.04": 2}
    assert figures["offhook_media_jitter_seconds_bucket", "+Inf"] == 3
    assert figures["offhook_media_jitter_seconds_count", ""] == 3
    assert figures["offhook_media_jitter_seconds_sum", ""] == pytest.approx(1.032)
    assert figures["offhook_media_round_trip_seconds_sum", ""] == pytest.approx(0.06)
    assert figures["offhook_media_buffer_delay_seconds_sum", ""] == pytest.approx(0.03)
    assert figures["offhook_media_mean_opinion_score_bucket", "3.6"] == 2


def test_a_node_without_calls_tells_empty_histograms() -> None:
    with open_metrics(Address("127.0.0.1", 0), lambda: quality_figures(Qualities())) as port:
        figures = figures_at(port)
    assert figures["offhook_media_jitter_seconds_bucket", "+Inf"] == 0
    assert figures["offhook_media_mean_opinion_score_count", ""] == 0


def test_a_port_that_is_taken_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(BadSetup, match=f"{address.port}.*--metrics"), open_metrics(address, tuple):
            pass


def test_roles_that_run_together_have_ports_in_a_row() -> None:
    assert [str(metrics_of(role, Address("127.0.0.1", 9464))) for role in ROLES] == [
        "127.0.0.1:9464", "127.0.0.1:9465", "127.0.0.1:9466", "127.0.0.1:9467",
    ]  # fmt: skip
    assert metrics_of("voice", None) is None
    assert metrics_of("voice", Address("127.0.0.1", 0)) == Address("127.0.0.1", 0)
