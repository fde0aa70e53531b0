"""What each node costs, and how large each tensor is: measured (``profile``), or estimated where nothing can be run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from actcache.passes.graph.nodes import element_bits
from actcache.passes.graph.view import GraphView

#: What the estimate assumes a processor does, multiply-accumulates per second on two cores.
_MACS_PER_SECOND = 2e10
#: What the estimate takes for a size that the model leaves open.
_SIZE_GUESS = 16


@dataclass(frozen=True)
class Costs:
    """Measured or estimated cost of one model on one sample.

    Attributes:
        seconds: Per node of the main graph, seconds of one run of the optimised model.
        total: Seconds of one run.
        shapes: Tensor name to the shape it had, for outputs of profiled nodes and for inputs.
        measured: False when this is an estimate.
        spread: Interquartile range of the measured runs, as a share of their median.
    """

    seconds: tuple[float, ...]
    total: float
    shapes: Mapping[str, tuple[int, ...]]
    measured: bool
    spread: float = 0.0

    def carried_over(self, view: GraphView, other: GraphView) -> Costs:
        """Return the costs of another form of the model: what it has besides the same nodes takes no time."""
        known = {name: seconds for names, seconds in zip(view.writes, self.seconds, strict=True) for name in names}
        seconds = (max((known.get(name, 0.0) for name in names), default=0.0) for names in other.writes)
        return replace(self, seconds=tuple(seconds))

    def bytes(self, view: GraphView, name: str) -> int | None:
        """Return the size of a tensor in bytes on the sample; None: not known."""
        shape, dtype = self.shapes.get(name), view.dtype(name)
        if shape is None or dtype is None:
            return None
        return math.prod(shape) * element_bits(dtype) // 8


def least_costs(measured: Sequence[Costs]) -> Costs:
    """Return the least of several measurements of one model on one sample, node by node, scaled to the least total."""
    seconds = [min(times) for times in zip(*(c.seconds for c in measured), strict=True)]
    total = min(c.total for c in measured)
    scale = total / max(sum(seconds), 1e-12)
    return replace(
        measured[0], seconds=tuple(s * scale for s in seconds), total=total, spread=max(c.spread for c in measured)
    )


def estimate_costs(view: GraphView) -> Costs:
    """Estimate costs from shapes alone: weights times positions for the linear operators, elements for the rest."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name in (*view.inputs, *(o for names in view.writes for o in names)):
        shape = view.shape(name)
        if shape is not None:
            shapes[name] = tuple(d if isinstance(d, int) else _SIZE_GUESS for d in shape)
    seconds = []
    for node, writes in zip(view.model.graph.node, view.writes, strict=True):
        size = sum(math.prod(shapes.get(o, ())) for o in writes)
        seconds.append(_macs(view, node, size) / _MACS_PER_SECOND)
    return Costs(tuple(seconds), sum(seconds), shapes, measured=False)


def _macs(view: GraphView, node: onnx.NodeProto, output_size: int) -> float:
    weight = view.shape(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    sizes = [d if isinstance(d, int) else _SIZE_GUESS for d in weight or ()]
    if node.op_type in ("Conv", "ConvInteger", "QLinearConv") and sizes:
        return output_size * math.prod(sizes[1:])
    if node.op_type in ("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "FusedMatMul") and sizes:
        return output_size * sizes[-2 if len(sizes) > 1 else 0]
    return output_size
