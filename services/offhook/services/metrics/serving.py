"""The port on which Prometheus asks: a thread of its own, so that it answers whatever the loop does."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from offhook.services.metrics.figures import Histogram, Read
from offhook.services.settings import Address, BadSetup


class _Figures(Collector):
    """Asks ``read`` each time it is asked."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for figure in self._read():
            if isinstance(figure, Histogram):
                yield _histogram(figure)
                continue
            family = GaugeMetricFamily if figure.kind == "gauge" else CounterMetricFamily
            labels = [figure.label] if figure.label else []
            metric = family(figure.name, figure.meaning, labels=labels)
            for value, number in figure.values.items():
                metric.add_metric([value] if figure.label else [], number)
            yield metric


def _histogram(figure: Histogram) -> Metric:
    bounds = [*map(str, figure.values.bounds), "+Inf"]
    # Prometheus counts in each bucket what lies in those before it, too.
    counts = accumulate(figure.values.counts or (0,) * len(bounds))
    return HistogramMetricFamily(
        figure.name, figure.meaning, buckets=list(zip(bounds, counts, strict=True)), sum_value=figure.values.total
    )


@contextmanager
def open_metrics(address: Address, read: Read) -> Iterator[int]:
    """Serve figures at ``http://address/metrics`` while the context is open; gives the port.

    Beside those of ``read`` there are CPU time, memory and open files of the process. Raises ``BadSetup`` when the
    address cannot be used.
    """
    registry = CollectorRegistry()
    registry.register(_Figures(read))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    try:
        server, thread = start_http_server(address.port, address.host, registry)
    except OSError as error:
        why = f"Metrics cannot be served on {address}: {error.strerror or error}."
        raise BadSetup(f"{why} Choose another address with --metrics.") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
