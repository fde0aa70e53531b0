"""The metrics of this process for ``prometheus_client``."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector as _Collector

from actcache.metrics.table import METRICS, Kind, Metric, Readings


class Collector(_Collector):
    """Reads the statistics at every scrape; between them it costs nothing.

    ::

        prometheus_client.REGISTRY.register(actcache.metrics.Collector())
        prometheus_client.start_http_server(9000)

    The names are those of the file that the knob ``metrics_path`` names, if it ends in ``.prom``. One of a process is
    enough: all report the same. Not for ``prometheus_client``'s multiprocess mode, which takes no collectors; let each
    process write its own file instead.
    """

    def __init__(self) -> None:
        self._readings = Readings()

    def describe(self) -> Iterator[Family]:
        """Yield what there is, without values, so that registering needs no library yet."""
        yield from map(_family, METRICS)

    def collect(self) -> Iterator[Family]:
        """Yield what the metrics are now.

        Raises:
            InvalidOption: An environment variable ``ACTCACHE_...`` means nothing.
            LibraryError: As :func:`actcache.library_path`.
        """
        for metric in METRICS:
            family = _family(metric)
            for labels, value in self._readings.read(metric):
                family.add_metric([text for _, text in labels], value)
            yield family


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)
