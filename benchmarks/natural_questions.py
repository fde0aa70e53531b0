"""One picture, many questions: what lies at these points of the picture?

The encoder is the catalogue's vision transformer (vit_s_focus, trained) up to its last tokens. Behind it stands a
prompt decoder in the way of Segment Anything's, with random weights: points become queries, two layers of attention
read the picture's tokens, and each point gets a mask over the patches. Pictures are drawn. How often each is asked is
ours, too: no public log of such sessions comes in a package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.natural_play import Natural, Played
from benchmarks.natural_repeats import Part, rows_of_inputs
from models import Feed, feed
from models.fetch import fetch

_ENCODER, _PICTURE, _TOKENS = "vit_s_focus", "input_image", "/Slice_output_0"
_WIDTH, _PATCHES, _BLOCKS, _LAYERS, _POINTS = 384, 256, 12, 2, 4


def model() -> onnx.ModelProto:
    """Return it: ``input_image`` [N, 3, 224, 224] and ``points`` [N, P, 2] to ``masks`` [N, P, patches]."""
    encoder = onnx.load(fetch(_ENCODER))
    graph = encoder.graph
    nodes, weights = _Decoder().written()
    kept = [*_needed(graph.node, _TOKENS), *nodes]
    read = {name for node in kept for name in node.input}
    constants = [each for each in graph.initializer if each.name in read]
    points = helper.make_tensor_value_info("points", TensorProto.FLOAT, [_rows(graph), "points", 2])
    masks = helper.make_tensor_value_info("masks", TensorProto.FLOAT, [_rows(graph), "points", "patches"])
    made = helper.make_graph(kept, "promptable", [*graph.input, points], [masks], [*constants, *weights])
    return helper.make_model(made, opset_imports=list(encoder.opset_import), ir_version=encoder.ir_version)


def picture_share() -> float:
    """Return the share of the multiplications that depends on the picture alone."""
    block = 12 * _WIDTH**2 * _PATCHES + 2 * _PATCHES**2 * _WIDTH
    picture = _BLOCKS * block + _LAYERS * 2 * _WIDTH**2 * _PATCHES
    point = _LAYERS * (10 * _WIDTH**2 + 2 * _PATCHES * _WIDTH) + _PATCHES * _WIDTH
    return picture / (picture + _POINTS * point)


def _rows(graph: onnx.GraphProto) -> str:
    return str(graph.input[0].type.tensor_type.shape.dim[0].dim_param)


def _needed(nodes: Sequence[onnx.NodeProto], wanted: str) -> list[onnx.NodeProto]:
    """Return the nodes that a tensor is computed from, in their order."""
    names, found = {wanted}, []
    for node in reversed(nodes):
        if names & set(node.output):
            names |= set(node.input)
            found.append(node)
    return found[::-1]


class _Decoder:
    """Writes the nodes behind the encoder's tokens."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def written(self) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Return nodes and weights."""
        x = self._op("Relu", self._linear("points.in", "points", 2, _WIDTH))
        for layer in range(_LAYERS):
            x = self._op("Add", x, self._attention(f"prompt.{layer}", x))
            wide = self._op("Relu", self._linear(f"prompt.{layer}.up", x, _WIDTH, 4 * _WIDTH))
            x = self._op("Add", x, self._linear(f"prompt.{layer}.down", wide, 4 * _WIDTH, _WIDTH))
        scores = self._op("MatMul", x, self._op("Transpose", _TOKENS, perm=[0, 2, 1]))
        self._nodes.append(helper.make_node("Sigmoid", [scores], ["masks"], "masks"))
        return self._nodes, self._weights

    def _attention(self, name: str, x: str) -> str:
        q = self._linear(f"{name}.q", x, _WIDTH, _WIDTH)
        k, v = (self._linear(f"{name}.{part}", _TOKENS, _WIDTH, _WIDTH) for part in "kv")
        scores = self._op("MatMul", q, self._op("Transpose", k, perm=[0, 2, 1]))
        scaled = self._op("Mul", scores, self._weight(f"{name}.scale", np.array(_WIDTH**-0.5, np.float32)))
        return self._op("MatMul", self._op("Softmax", scaled, axis=-1), v)

    def _linear(self, name: str, x: str, inner: int, outer: int) -> str:
        drawn = self._random.standard_normal((inner, outer), np.float32) * np.float32(inner**-0.5)
        product = self._op("MatMul", x, self._weight(f"{name}.weight", drawn))
        return self._op("Add", product, self._weight(f"{name}.bias", np.full(outer, 0.01, np.float32)))

    def _weight(self, name: str, value: NDArray[np.generic]) -> str:
        self._weights.append(numpy_helper.from_array(value, name))
        return name

    def _op(self, op: str, *reads: str, **attributes: Any) -> str:
        output = f"prompt_{op.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, reads, [output], output, **attributes))
        return output


def calls(pictures: int) -> list[Feed]:
    """Return questions: each picture is asked 1 to 8 times in a row, about four points each time."""
    random = np.random.default_rng(0)
    found: list[Feed] = []
    for number in range(pictures):
        picture = feed(_ENCODER, 1, seed=number)[_PICTURE]
        for _ in range(int(random.integers(1, 9))):
            found.append({_PICTURE: picture, "points": random.random((1, _POINTS, 2), np.float32)})
    return found


def _make(folder: Path, quick: bool) -> Played:
    path = folder / "promptable.onnx"
    onnx.save_model(model(), path)
    played = calls(4 if quick else 14)
    return Played(path, played, len(played) // 3, [Part("pictures", picture_share(), rows_of_inputs(_PICTURE))])


QUESTIONS = Natural(
    "questions",
    "a picture, one to eight questions",
    "A trained vision transformer with a prompt decoder of random weights; pictures are drawn, and how often each is"
    " asked is ours.",
    _make,
)
