"""Reading only the last position of an output: what only its other positions need is not computed (``--reads``).

From the output backwards, nodes that work on each position by itself get the last positions alone, up to tensors that
others need in full. The output keeps its shape: its other positions are NaN, so that whoever reads them sees it.

Two positions are computed where there are two, and the last of them is handed out: onnxruntime has other kernels for
a single one, which differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from actcache.errors import InvalidOption
from actcache.passes.causal import CausalProof, Fixed, prove_causal
from actcache.passes.causal.hypotheses import mask_hypotheses, position_hypotheses
from actcache.passes.graph.constant_values import ReadTensor
from actcache.passes.graph.entries import keep
from actcache.passes.graph.order import topological
from actcache.passes.graph.pasts import past_axes
from actcache.passes.graph.rename import rename_reads, rename_writes
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.suffix_past import Pasts

#: Appended to names of what is new.
MARK, FULL = "@last", "@full"
#: Positions that are computed.
_COMPUTED = 2
_END = np.iinfo(np.int64).max
#: Element types that onnxruntime's Pad takes and that have NaN.
_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
#: The first version of Pad that takes its sizes as an input.
_OPSET = 11


def read_last(view: GraphView, outputs: Sequence[str], read: ReadTensor | None = None) -> dict[str, int]:
    """Have ``view.model`` compute only the last position of outputs, in place. The view is stale afterwards.

    Args:
        view: The model.
        outputs: Names of outputs.
        read: Reads constants that are stored outside the model.

    Returns:
        Per output the axis of its positions.

    Raises:
        InvalidOption: There is no such output, it has no positions, or their other values cannot be NaN.
    """
    for name in outputs:
        if name not in view.outputs:
            raise InvalidOption(f"the model has no output '{name}'", hint=f"its outputs are {', '.join(view.outputs)}")
        if view.dtype(name) not in _TYPES:
            raise InvalidOption(f"output '{name}' is not of type float or double", hint="leave out --reads")
    if view.opsets.get("", 0) < _OPSET:
        raise InvalidOption(f"--reads needs opset {_OPSET} or later", hint="convert the model, or leave --reads out")
    proof = _proof(view, outputs, read)
    axes = {name: axis for name in outputs if (axis := proof.position_axis(name)) is not None}
    _Shortener(view, proof, axes).run()
    return axes


def _proof(view: GraphView, outputs: Sequence[str], read: ReadTensor | None) -> CausalProof:
    reason, pasts = "no input is a sequence of variable length", past_axes(view.model)
    for positions in position_hypotheses(view, pasts):
        for ones in mask_hypotheses(view, positions):
            proof = prove_causal(view, positions, pasts=pasts, ones=ones, binary_masks=True, read=read)
            unknown = [name for name in outputs if proof.position_axis(name) is None]
            if not unknown:
                return proof
            reason = str(proof.refusal(unknown[0]) or f"'{unknown[0]}' has no axis of exactly the positions")
    hint = "leave out --reads"
    raise InvalidOption(f"output '{outputs[0]}' is not proven to have positions: {reason}", hint=hint)


class _Shortener:
    """Rewrites one model.

    Args:
        view: The model.
        proof: What is proven of its positions.
        outputs: Outputs of which the last position is read, with the axes of their positions.
    """

    def __init__(self, view: GraphView, proof: CausalProof, outputs: Mapping[str, int]) -> None:
        self.view, self.proof, self.outputs = view, proof, outputs
        self.pasts = Pasts(view, proof, range(len(view.writes)))
        self.graph = view.model.graph
        self.full = {name for name in view.outputs if name not in outputs}
        self.last = dict(outputs)
        self.short: set[int] = set()
        self.added: list[onnx.NodeProto] = []

    def run(self) -> None:
        for index in range(len(self.view.writes) - 1, -1, -1):
            self._ask(index)
        cut = {name: axis for name, axis in self.last.items() if self.view.producer.get(name) not in self.short}
        sources = {name: self._source(name, cut) for name in self.outputs}
        moved = {name: name + (FULL if name in cut else MARK) for name in self.outputs}
        for node in self.graph.node:
            rename_reads(node, moved)
            rename_writes(node, moved)
        for name, axis in cut.items():
            self._slice(moved.get(name, name), name + MARK, axis, _COMPUTED)
        for index in self.short:
            rename_reads(self.graph.node[index], {moved.get(name, name): name + MARK for name in cut})
        for name, axis in self.outputs.items():
            self._finish(name, axis, moved.get(sources[name], sources[name]), cut[sources[name]])
        nodes = topological([*self.graph.node, *self.added])
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(copies)
        shortened = {name for index in self.short for name in self.view.writes[index]}
        keep(self.graph.value_info, lambda value: value.name not in shortened)

    def _ask(self, index: int) -> None:
        """Ask for what a node reads: in full, or where only its last positions are wanted, for those alone."""
        wanted = [name for name in self.view.writes[index] if name in self.last and name not in self.full]
        alone = len(wanted) == len(self.view.writes[index]) == 1
        operands = self._operands(index, self.last[wanted[0]]) if alone else None
        if operands is not None:
            self.short.add(index)
            self.last |= operands
        self.full.update(name for name in self.view.reads[index] if operands is None or name not in operands)

    def _operands(self, index: int, axis: int) -> dict[str, int] | None:
        """Return what a node reads of the positions that it computes along an axis; None: not those alone.

        The proof is about calls without a past, but others are shortened as well. There, operands of one number of
        positions may have different ones.
        """
        result, node = self.proof.result(index), self.view.model.graph.node[index]
        if result is None or axis in result.whole or len(self.view.reads[index]) > len(set(node.input) - {""}):
            return None
        if any(self.pasts.put_behind(name) for name in self.view.writes[index]):
            return None
        found: dict[str, int] = {}
        for number, name in enumerate(node.input):
            value = self.proof.value(name) if name else None
            if value is None or isinstance(value.state, Fixed):
                continue
            own = self.proof.position_axis(name)
            if own is None or result.axes.get(number, {}).get(own) != axis:
                return None
            if found.setdefault(name, own) != own or self.last.get(name, own) != own:
                return None
        return None if self.proof.pasts and len(found) > 1 else found

    def _source(self, name: str, cut: Mapping[str, int]) -> str:
        """Return the tensor with all positions that the last ones of an output are computed from."""
        while name not in cut:
            name = next(iter(self._operands(self.view.producer[name], self.last[name]) or ()))
        return name

    # -- new nodes -------------------------------------------------------------------------------------

    def _slice(self, name: str, target: str, axis: int, count: int) -> None:
        numbers = {"from": -count, "to": _END, "axis": axis}
        bounds = [self._constant(f"{target}.{what}", [number]) for what, number in numbers.items()]
        self._node("Slice", [name, *bounds], target)

    def _finish(self, name: str, axis: int, source: str, source_axis: int) -> None:
        """Hand the last position out in its place, NaN in all others; `source` has as many."""
        one, rank = f"{name}{MARK}.one", len(self.view.shape(name) or self.proof.shape(name) or ())
        self._slice(name + MARK, one, axis, 1)
        sizes = [self._size(source, source_axis, f"{name}{MARK}.positions"), self._size(one, axis, f"{one}.positions")]
        before = self._node("Sub", sizes, f"{name}{MARK}.before")
        parts = [(axis, f"{name}{MARK}.left"), (2 * rank - axis - 1, f"{name}{MARK}.right")]
        zeros = [self._constant(part, [0] * count) for count, part in parts]
        pads = self._node("Concat", [zeros[0], before, zeros[1]], f"{name}{MARK}.pads", axis=0)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(self.view.dtype(name) or onnx.TensorProto.FLOAT)
        nan = onnx.numpy_helper.from_array(np.array(np.nan, dtype), f"{name}{MARK}.nan")
        self.graph.initializer.append(nan)
        self._node("Pad", [one, pads, nan.name], name)

    def _size(self, name: str, axis: int, target: str) -> str:
        """Return the size of an axis, in a tensor [1]."""
        shape = self._node("Shape", [name], f"{target}.shape")
        return self._node("Gather", [shape, self._constant(f"{target}.axis", [axis])], target, axis=0)

    def _constant(self, name: str, values: Sequence[int]) -> str:
        self.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def _node(self, op: str, reads: Sequence[str], target: str, **attributes: Any) -> str:
        self.added.append(onnx.helper.make_node(op, reads, [target], f"{op} {target}", **attributes))
        return target
