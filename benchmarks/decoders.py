"""Language models without a cache, made on the spot with random weights: what an export of GPT-2 is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: How the mask of a layer is made: a slice of a constant triangle, a triangle of the call's own size, or a comparison
#: of positions. ``none``: every position reads all others.
Mask = Literal["slice", "trilu", "compare", "none"]
#: Attention as nodes of its own, or as one of onnxruntime's operators, which its optimiser makes of them.
Attention = Literal["nodes", "MultiHeadAttention", "Attention"]


@dataclass(frozen=True)
class Decoder:
    """The sizes of a language model.

    Attributes:
        layers, width, heads, vocabulary: As usual; the feed-forward part is four times as wide.
        longest: Most positions of a call.
        mask: How its masks are made.
        batch: Size of the batch; a name: any.
        padding: Whether there is an input ``attention_mask`` that closes positions of padding.
        last: Whether the graph itself hands out only the logits of the last position.
        attention: How attention is written.
        half: Whether numbers are of float16.
    """

    layers: int = 2
    width: int = 32
    heads: int = 4
    vocabulary: int = 61
    longest: int = 128
    mask: Mask = "compare"
    batch: int | str = "batch"
    padding: bool = False
    last: bool = False
    attention: Attention = "nodes"
    half: bool = False

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The type of its numbers."""
        return np.float16 if self.half else np.float32

    def model(self, seed: int = 0) -> onnx.ModelProto:
        """Return the model: ``input_ids`` [batch, sequence] to ``logits`` [batch, sequence, vocabulary]."""
        return _Writer(self, np.random.default_rng(seed)).model()


@dataclass
class _Writer:
    sizes: Decoder
    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        own = self.sizes
        x = self._embedded()
        mask = self._mask() if own.attention == "nodes" else self._padding()
        for layer in range(own.layers):
            x = self._op("Add", x, self._attention(f"h{layer}.attn", self._normed(f"h{layer}.ln1", x), mask))
            x = self._op("Add", x, self._feed_forward(f"h{layer}.mlp", self._normed(f"h{layer}.ln2", x)))
        x = self._normed("ln_f", x)
        if own.last:
            x = self._op("Gather", x, self._numbers(-1), axis=1)
        head = self._weight("head", own.width, own.vocabulary)
        self.nodes.append(helper.make_node("MatMul", [x, head], ["logits"], "lm_head"))
        where: list[int | str] = [own.batch, "sequence"]
        ids = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, where)]
        if own.padding:
            ids.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, where))
        shape = [own.batch, *([] if own.last else ["sequence"]), own.vocabulary]
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT16 if own.half else TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "decoder", ids, [logits], list(self.weights.values()))
        domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains[: 1 + (own.attention != "nodes")], ir_version=9)

    # -- parts -----------------------------------------------------------------------------------------

    def _embedded(self) -> str:
        own = self.sizes
        self._op("Shape", "input_ids", name="size", start=1, end=2)
        self._op("Squeeze", "size", self._numbers([0]), name="length")
        self._op("Range", self._numbers(0), "length", self._numbers(1), name="positions")
        tokens = self._op("Gather", self._weight("wte", own.vocabulary, own.width), "input_ids")
        return self._op("Add", tokens, self._op("Gather", self._weight("wpe", own.longest, own.width), "positions"))

    def _mask(self) -> str:
        """Return a bool tensor that broadcasts to [batch, 1, sequence, sequence]: what may be read."""
        own = self.sizes
        if own.mask == "slice":
            triangle = np.tril(np.ones((own.longest, own.longest), bool))[None, None]
            rows = self._op(
                "Slice", self._constant("triangle", triangle), self._numbers([0]), "size", self._numbers([2])
            )
            mask = self._op("Slice", rows, self._numbers([0]), "size", self._numbers([3]))
        elif own.mask == "trilu":
            ones = numpy_helper.from_array(np.array([1.0], np.float32))
            mask = self._op("ConstantOfShape", self._square(), value=ones)
            mask = self._op("Cast", self._op("Trilu", mask, upper=0), to=TensorProto.BOOL)
        elif own.mask == "compare":
            columns = self._op("Unsqueeze", "positions", self._numbers([0]))
            rows = self._op("Unsqueeze", "positions", self._numbers([1]))
            mask = self._op("LessOrEqual", columns, rows)
        else:
            true = numpy_helper.from_array(np.array([True]))
            mask = self._op("ConstantOfShape", self._square(), value=true)
        if own.padding:
            kept = self._op("Cast", "attention_mask", to=TensorProto.BOOL)
            mask = self._op("And", mask, self._op("Unsqueeze", kept, self._numbers([1, 2])))
        return mask

    def _padding(self) -> str:
        """Return the mask that onnxruntime's operators take: whole numbers [batch, sequence], if there is one."""
        return self._op("Cast", "attention_mask", to=TensorProto.INT32) if self.sizes.padding else ""

    def _square(self) -> str:
        return self._op("Concat", "size", "size", axis=0)

    def _attention(self, name: str, x: str, mask: str) -> str:
        own = self.sizes
        if own.attention == "Attention":
            weights = self._weight(f"{name}.c_attn.weight", own.width, 3 * own.width)
            mixed = self._fused(x, weights, self._weight(f"{name}.c_attn.bias", 3 * own.width), mask)
            return self._linear(f"{name}.c_proj", mixed, own.width, own.width)
        both = self._linear(f"{name}.c_attn", x, own.width, 3 * own.width)
        parts = [f"{name}.{part}" for part in "qkv"]
        self.nodes.append(helper.make_node("Split", [both], parts, f"{name}.split", axis=2, num_outputs=3))
        if own.attention == "MultiHeadAttention":
            return self._linear(f"{name}.c_proj", self._fused(*parts, "", mask), own.width, own.width)
        apart = self._numbers([0, 0, own.heads, own.width // own.heads])
        q, k, v = (self._op("Reshape", part, apart) for part in parts)
        q, v = (self._op("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
        scores = self._op("MatMul", q, self._op("Transpose", k, perm=[0, 2, 3, 1]))
        scores = self._op("Mul", scores, self._scalar((own.width // own.heads) ** -0.5))
        scores = self._op("Where", mask, scores, self._scalar(float(np.finfo(own.dtype).min)))
        mixed = self._op("MatMul", self._op("Softmax", scores, axis=-1), v)
        mixed = self._op("Reshape", self._op("Transpose", mixed, perm=[0, 2, 1, 3]), self._numbers([0, 0, -1]))
        return self._linear(f"{name}.c_proj", mixed, own.width, own.width)

    def _fused(self, *reads: str) -> str:
        own = self.sizes
        return self._op(own.attention, *reads, domain="com.microsoft", num_heads=own.heads, unidirectional=1)

    def _feed_forward(self, name: str, x: str) -> str:
        width = self.sizes.width
        wide = self._op("Gelu", self._linear(f"{name}.c_fc", x, width, 4 * width), approximate="tanh")
        return self._linear(f"{name}.c_proj", wide, 4 * width, width)

    def _linear(self, name: str, x: str, inner: int, outer: int) -> str:
        product = self._op("MatMul", x, self._weight(f"{name}.weight", inner, outer))
        return self._op("Add", product, self._weight(f"{name}.bias", outer))

    def _normed(self, name: str, x: str) -> str:
        scale = self._constant(f"{name}.weight", np.ones(self.sizes.width, self.sizes.dtype))
        return self._op("LayerNormalization", x, scale, self._weight(f"{name}.bias", self.sizes.width), axis=-1)

    # -- values ----------------------------------------------------------------------------------------

    def _op(self, op: str, *reads: str, name: str = "", **attributes: Any) -> str:
        output = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, reads, [output], f"/{output}", **attributes))
        return output

    def _weight(self, name: str, *shape: int) -> str:
        return self._constant(name, self._drawn(*shape))

    def _drawn(self, *shape: int) -> NDArray[np.generic]:
        drawn: NDArray[np.float32] = self.random.standard_normal(shape, np.float32) * np.float32(shape[0] ** -0.5)
        return drawn.astype(self.sizes.dtype)

    def _scalar(self, value: float) -> str:
        return self._constant(f"scalar {value}", np.array(value, self.sizes.dtype))

    def _numbers(self, values: int | Sequence[int]) -> str:
        return self._constant(f"numbers {values}", np.array(values, np.int64))

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.weights.setdefault(name, numpy_helper.from_array(value, name))
        return name
