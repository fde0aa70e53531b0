"""Resize with a scale of 1 on the row axis, in every mode: rows stay apart, and the compiled model says the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hosts import drawn, host

import actcache

MODES = ["nearest", "linear", "cubic"]
PLACES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]


def declared(scale: str) -> str:
    """A model with one Resize per mode; its last axes take twice their size, by `scale`."""
    nodes, outputs = [], []
    given = {"scales": "none, scales", "sizes": "none, none, sizes"}[scale]
    for number, (mode, place) in enumerate(itertools.product(MODES, PLACES)):
        attributes = f'mode = "{mode}", coordinate_transformation_mode = "{place}"'
        if mode == "nearest":
            attributes += ', nearest_mode = "ceil"'
        nodes.append(f"y{number} = Resize<{attributes}>(x, {given})")
        outputs.append(f"float[N, 1, 8, 6] y{number}")
    return f"""<ir_version: 8, opset_import: ["": 19]>
        resized (float[N, 1, 4, 3] x) => ({", ".join(outputs)}) {{
            n = Shape<start = 0, end = 1>(x)  rest = Constant<value_ints = [1, 8, 6]>()
            sizes = Concat<axis = 0>(n, rest)
            {" ".join(nodes)}
        }}"""


@pytest.mark.parametrize("scale", ["scales", "sizes"])
def test_rows_stay_apart(scale: str) -> None:
    names = [f"y{number}" for number in range(len(MODES) * len(PLACES))]
    one = host(
        declared(scale),
        {"none": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32)},
        [actcache.RegionSpec("resized", ("x",), tuple(names))],
    )
    one.check(one.plain(), one.session(), {"x": drawn(7, 1, 4, 3)}, 1e-6)
