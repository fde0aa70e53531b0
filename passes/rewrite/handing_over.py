"""What a lookup need not copy, as an operator in the branch copies it from the cache straight into its results.

``CacheLookup`` gives what it has found as tensors: ``CacheStore`` reads them if something is missing, ``CacheFetch`` if
nothing is. If they are large, copying them first takes time that shows. Then the lookup may hand the entries over
instead, and the tensor is empty. It decides in every call. So nobody else in the branch may read the tensor.
"""

from __future__ import annotations

import onnx

from actcache.passes.graph.nodes import node_reads
from actcache.passes.region import Region

#: ``CacheLookup`` has this attribute where ``CacheFetch`` stands in the branch of hits.
HANDS_OVER = "hands_over"
#: Of ``CacheLookup``: the numbers of the results that only ``CacheStore`` reads where something is missing.
STORE_FETCHES = "store_fetches"


def handing_over(region: Region, mark: str, branch: onnx.GraphProto, fetched: bool) -> list[onnx.AttributeProto]:
    """Return the attributes of a region's lookup.

    Args:
        region: The region.
        mark: What the names of the lookup's outputs end with.
        branch: What runs if something is missing. Its last node is the ``CacheStore``.
        fetched: Whether a ``CacheFetch`` stands in the other branch.
    """
    attributes = [onnx.helper.make_attribute(HANDS_OVER, 1)] if fetched else []
    if region.granularity == "tensor":  # of a whole call nothing is found if something is missing
        return attributes
    read = {name for node in list(branch.node)[:-1] for name in node_reads(node)}
    numbers = [number for number, name in enumerate(region.live_outs) if f"{name}{mark}.cached" not in read]
    return [*attributes, onnx.helper.make_attribute(STORE_FETCHES, numbers)] if numbers else attributes
