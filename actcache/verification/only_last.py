"""The original as callers read it who look at the last position only (``--reads OUTPUT:last``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from actcache.passes.cuts.feeds import Feed
from actcache.verification.cases import Run


def only_last(run: Run, axes: Mapping[int, int]) -> Run:
    """Return what runs a model and hands out NaN for all but the last position of some outputs.

    Args:
        run: Runs the model.
        axes: Number of an output to the axis of its positions.
    """

    def masked(feed: Feed) -> list[Any]:
        results = list(run(feed))
        for number, axis in axes.items():
            result = np.array(results[number])
            result[(slice(None),) * axis + (slice(None, -1),)] = np.nan
            results[number] = result
        return results

    return masked if axes else run
