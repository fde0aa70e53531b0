"""The metrics of this process for OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from actcache.metrics.table import METRICS, Kind, Metric, Readings


def instrument(meter: Meter) -> None:
    """Let `meter` observe the statistics of this process whenever its readers collect.

    ::

        actcache.metrics.instrument(opentelemetry.metrics.get_meter("actcache"))

    Counters become observable counters, what is held observable up-down counters (it adds up over processes). What
    processes share, and the version, become observable gauges. Attributes are ``actcache.region``,
    ``actcache.fingerprint``, ``actcache.outcome``, ``actcache.state``, ``actcache.tier`` and ``actcache.version``.
    Call it once per meter.
    """
    readings = Readings()
    create = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.AMOUNT: meter.create_observable_up_down_counter,
        Kind.LEVEL: meter.create_observable_gauge,
        Kind.INFO: meter.create_observable_gauge,
    }
    for metric in METRICS:
        create[metric.kind](
            metric.otel_name, [_observing(readings, metric)], unit=metric.otel_unit, description=metric.help
        )


def _observing(readings: Readings, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for labels, value in readings.read(metric):
            yield Observation(value, {f"actcache.{name}": text for name, text in labels})

    return observe
