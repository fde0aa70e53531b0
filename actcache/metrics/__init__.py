"""The statistics of this process for monitoring systems.

``Collector`` serves them to Prometheus (the extra ``actcache[prometheus]``), ``instrument`` to OpenTelemetry (the
extra ``actcache[otel]``). A host in another language has the Prometheus text in a file (knob ``metrics_path``), under
the same names. What there is stands in ``actcache.metrics.table``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actcache.metrics.otel import instrument
    from actcache.metrics.prometheus import Collector

__all__ = ["Collector", "instrument"]


def __getattr__(name: str) -> Any:
    # Each needs a library that the other does not.
    if name == "Collector":
        from actcache.metrics.prometheus import Collector

        return Collector
    if name == "instrument":
        from actcache.metrics.otel import instrument

        return instrument
    raise AttributeError(f"module 'actcache.metrics' has no attribute '{name}'")
