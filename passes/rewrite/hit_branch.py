"""The branch that runs when nothing is missing: it gives what the lookup has found.

::

    small results: Identity(cached) ─────────► live-outs
    large ones:    CacheFetch(plan, cached) ─► live-outs

Small results are copied by the lookup, and once more by ``Identity``. Copying large ones twice takes time that shows.
So the lookup may leave that to ``CacheFetch``, which copies them from the cache straight into the results of the
``If``. It decides in every call, by the bytes that were found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from actcache.passes.graph.view import GraphView
from actcache.passes.region import Region
from actcache.passes.rewrite.finals import take_finals

#: In rows of less, hits of usual batches are so small that a second copy does not show.
_LEAST_BYTES = 4096


def is_fetched(view: GraphView, region: Region) -> bool:
    """Return whether ``CacheFetch`` gives what is found of `region`: its results are large, or their size is not known.

    Not with finals, which the branch takes out of what the lookup has copied. Not with types that are not known: a
    ``CacheFetch`` has to say them.
    """
    types = [view.dtype(name) for name in region.live_outs]
    if region.finals or None in types:
        return False
    sizes = [_row_bytes(view, name, region.live_out_axes[name]) for name in region.live_outs]
    known = [size for size in sizes if size is not None]
    return len(known) < len(sizes) or sum(known) >= _LEAST_BYTES


def hit_branch(
    region: Region, mark: str, outputs: Sequence[onnx.ValueInfoProto], fetch: onnx.NodeProto | None
) -> onnx.GraphProto:
    """Return the branch.

    Args:
        region: The region.
        mark: What the names of its lookup's outputs end with.
        outputs: What the branch gives: :attr:`~actcache.passes.region.Region.handed_on`, in their order.
        fetch: A ``CacheFetch`` that gets its inputs and outputs here; None: there is none.
    """
    branch = onnx.GraphProto(name=f"{region.id} on a hit", output=outputs)
    cached = [f"{name}{mark}.cached" for name in region.live_outs]
    if fetch is None:
        pairs = zip(cached, outputs, strict=False)
        branch.node.extend(onnx.helper.make_node("Identity", [name], [output.name]) for name, output in pairs)
        take_finals(branch, region, mark)
        return branch
    fetch.input.extend([f"plan{mark}", *cached])
    fetch.output.extend(output.name for output in outputs)
    branch.node.append(fetch)
    return branch


def _row_bytes(view: GraphView, name: str, axis: int | None) -> int | None:
    """Return the bytes of a row of a tensor, or of all of it if it has no rows; None: not known."""
    shape, dtype = view.shape(name), view.dtype(name)
    if shape is None or dtype is None:
        return None
    sizes = [size for number, size in enumerate(shape) if number != axis]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) < len(sizes):
        return None
    return math.prod(known) * onnx.helper.tensor_dtype_to_np_dtype(dtype).itemsize
