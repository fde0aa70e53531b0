"""The window of a GroupQueryAttention, for what goes on in its place.

A window of w leaves each position w positions to see, its own included; in older versions of onnxruntime (1.18 is one)
w + 1. The branch finds out which: it asks an operator with a window of 1, of constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from actcache.passes.rewrite.suffix_resumed import Resumed

_LOWEST = np.array(np.finfo(np.float32).min)
#: Three positions of one head of 16 features: the last one sees itself, 0, or the one before it, too, which is 2.
_VALUES = np.repeat(np.array([0, 2, 0]), 16).reshape(1, 3, 16)


def numbered(at: Resumed) -> tuple[str, str]:
    """Return the numbers of the positions of the suffix as a column, and of all positions as a row."""
    sizes = at.sizes
    ends = (sizes.vector([0]), sizes.vector([1]), sizes.known, sizes.all)
    zero, one, known, every = (sizes.node("Reshape", end, sizes.vector([])) for end in ends)
    column = sizes.node("Reshape", sizes.node("Range", known, every, one), sizes.vector([-1, 1]))
    return column, sizes.node("Range", zero, every, one)


def windowed(at: Resumed, query: str) -> str:
    """Return a bias of scores [B, heads, S - P, S] that closes what lies before each position's window.

    Args:
        at: A GroupQueryAttention with a window.
        query: Its queries [B, S - P, heads·size], of float32.
    """
    sizes = at.sizes
    seen = near(at, *numbered(at))
    bias = sizes.node("Where", seen, *(sizes.constant(n, at.dtype(0)) for n in (np.array(0), _LOWEST)))
    batch = sizes.node("Gather", sizes.node("Shape", query), sizes.vector([0]), axis=0)
    shape = sizes.node("Concat", batch, sizes.vector([at.attribute("num_heads")]), sizes.rest, sizes.all, axis=0)
    return sizes.node("Expand", bias, shape)


def near(at: Resumed, queries: str, keys: str) -> str:
    """Return the truth that a key is in a query's window, or behind it; by the numbers of their positions."""
    seen = at.sizes.node("Add", at.sizes.vector([at.attribute("local_window_size")]), _more(at))
    return at.sizes.node("Less", at.sizes.node("Sub", queries, keys), seen)


def _more(at: Resumed) -> str:
    """How many positions more than it says a window has in this version of onnxruntime: 0 or 1, as a vector."""
    sizes, int32 = at.sizes, onnx.TensorProto.INT32
    alike, values = (sizes.constant(array, onnx.TensorProto.FLOAT) for array in (np.zeros_like(_VALUES), _VALUES))
    lengths = sizes.constant(np.array([2]), int32), sizes.constant(np.array(3), int32)
    written = [f"{at.part}.window{name}" for name in ("", ".keys", ".values")]
    heads: dict[str, Any] = {"num_heads": 1, "kv_num_heads": 1, "local_window_size": 1}
    reads = [alike, alike, values, "", "", *lengths]
    sizes.nodes.append(onnx.helper.make_node("GroupQueryAttention", reads, written, domain=at.source.domain, **heads))
    last = sizes.node("Gather", sizes.node("Reshape", written[0], sizes.vector([-1])), sizes.vector([-1]), axis=0)
    half = sizes.constant(np.array(0.5), onnx.TensorProto.FLOAT)
    return sizes.node("Cast", sizes.node("Greater", last, half), to=onnx.TensorProto.INT64)
