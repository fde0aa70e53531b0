"""Language models made on the spot with random weights: what exports of GPT-2, or of Llama, are made of.

Without a cache, or with the keys and values of earlier calls as inputs (``past_key_values``).
"""

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
Attention = Literal["nodes", "MultiHeadAttention", "Attention", "GroupQueryAttention"]


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
        past: Whether there are inputs ``past_key_values.N.key`` and ``.value`` [batch, heads, past, width of a head],
            and outputs ``present.N.key`` and ``.value``. The mask then covers both, past and sequence;
            it is no triangle of the call's own size. ``MultiHeadAttention`` and ``GroupQueryAttention`` take the past
            themselves, and this one the lengths of rows: they are counted in the padding, if there is any.
        presents: Whether there are outputs ``present.N.key`` and ``.value`` without such inputs: the form for first
            calls.
        position_ids: Whether the caller numbers the positions.
        rotary: Whether positions turn queries and keys; else a vector is learnt for each.
        groups: So many heads of queries share one of keys and values.
        encoded: Whether it reads an encoder's states, ``encoder_hidden_states`` [batch, encoded, width], as well.
        told: Whether the heads of these are told the batch size of the tokens, as exporters of PyTorch do it.
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
    past: bool = False
    presents: bool = False
    position_ids: bool = False
    rotary: bool = False
    groups: int = 1
    encoded: bool = False
    told: bool = False

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
            x = self._op("Add", x, self._attention(layer, self._normed(f"h{layer}.ln1", x), mask))
            if own.encoded:
                x = self._op("Add", x, self._cross_attention(f"h{layer}.cross", self._normed(f"h{layer}.ln3", x)))
            x = self._op("Add", x, self._feed_forward(f"h{layer}.mlp", self._normed(f"h{layer}.ln2", x)))
        x = self._normed("ln_f", x)
        if own.last:
            x = self._op("Gather", x, self._numbers(-1), axis=1)
        head = self._weight("head", own.width, own.vocabulary)
        self.nodes.append(helper.make_node("MatMul", [x, head], ["logits"], "lm_head"))
        shape = [own.batch, *([] if own.last else ["sequence"]), own.vocabulary]
        logits = helper.make_tensor_value_info("logits", self._type(), shape)
        every = "past + sequence" if own.past else "sequence"
        outputs = [logits, *(self._kept(name, every) for name in self._presents())]
        graph = helper.make_graph(self.nodes, "decoder", self._inputs(), outputs, list(self.weights.values()))
        domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains[: 1 + (own.attention != "nodes")], ir_version=9)

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        own = self.sizes
        found = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [own.batch, "sequence"])]
        if own.padding:
            all_of_them = "past + sequence" if own.past else "sequence"
            found.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, [own.batch, all_of_them]))
        if own.position_ids:
            found.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, [own.batch, "sequence"]))
        if own.encoded:
            of_states = [own.batch, "encoded", own.width]
            found.append(helper.make_tensor_value_info("encoder_hidden_states", self._type(), of_states))
        names = (f"past_key_values{name.removeprefix('present')}" for name in self._presents() if own.past)
        return [*found, *(self._kept(name, "past") for name in names)]

    def _presents(self) -> list[str]:
        layers = range(self.sizes.layers if self.sizes.past or self.sizes.presents else 0)
        return [f"present.{layer}.{part}" for layer in layers for part in ("key", "value")]

    def _kept(self, name: str, positions: str) -> onnx.ValueInfoProto:
        own = self.sizes
        shape = [own.batch, own.heads // own.groups, positions, own.width // own.heads]
        return helper.make_tensor_value_info(name, self._type(), shape)

    def _type(self) -> int:
        return int(TensorProto.FLOAT16 if self.sizes.half else TensorProto.FLOAT)

    # -- parts -----------------------------------------------------------------------------------------

    def _embedded(self) -> str:
        own = self.sizes
        self._op("Shape", "input_ids", name="size", start=1, end=2)
        if own.past:
            self._op("Shape", "past_key_values.0.key", name="before", start=2, end=3)
            self._op("Add", "before", "size", name="total")
        begin = self._op("Squeeze", "before", self._numbers([0])) if own.past else self._numbers(0)
        self._op("Squeeze", "total" if own.past else "size", self._numbers([0]), name="length")
        self._op("Range", begin, "length", self._numbers(1), name="positions")
        tokens = self._op("Gather", self._weight("wte", own.vocabulary, own.width), "input_ids")
        numbers = "position_ids" if own.position_ids else "positions"
        if not own.rotary:
            return self._op("Add", tokens, self._op("Gather", self._weight("wpe", own.longest, own.width), numbers))
        half = own.width // own.heads // 2
        angles = np.arange(own.longest)[:, None] * 100.0 ** -(np.tile(np.arange(half), 2) / half)
        for name, function in (("cos", np.cos), ("sin", np.sin)):
            turned = self._op("Gather", self._constant(f"{name}.table", function(angles).astype(own.dtype)), numbers)
            axis = self._numbers([1] if own.position_ids else [0])
            self._op("Unsqueeze", turned, axis, name=name)
        return tokens

    def _mask(self) -> str:
        """Return a bool tensor that broadcasts to [batch, 1, sequence, sequence]: what may be read."""
        own = self.sizes
        if own.mask == "slice":
            triangle = np.tril(np.ones((own.longest, own.longest), bool))[None, None]
            begin, end = ("before", "total") if own.past else (self._numbers([0]), "size")
            rows = self._op("Slice", self._constant("triangle", triangle), begin, end, self._numbers([2]))
            mask = self._op("Slice", rows, self._numbers([0]), end, self._numbers([3]))
        elif own.mask == "trilu":
            ones = numpy_helper.from_array(np.array([1.0], np.float32))
            mask = self._op("ConstantOfShape", self._square(), value=ones)
            mask = self._op("Cast", self._op("Trilu", mask, upper=0), to=TensorProto.BOOL)
        elif own.mask == "compare":
            every = self._op("Range", self._numbers(0), "length", self._numbers(1)) if own.past else "positions"
            columns = self._op("Unsqueeze", every, self._numbers([0]))
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

    def _attention(self, layer: int, x: str, mask: str) -> str:
        own, name = self.sizes, f"h{layer}.attn"
        if own.attention == "Attention":
            weights = self._weight(f"{name}.c_attn.weight", own.width, 3 * own.width)
            mixed = self._fused(x, weights, self._weight(f"{name}.c_attn.bias", 3 * own.width), mask)
            return self._linear(f"{name}.c_proj", mixed, own.width, own.width)
        kept = own.width // own.groups
        both = self._linear(f"{name}.c_attn", x, own.width, own.width + 2 * kept)
        parts = [f"{name}.{part}" for part in "qkv"]
        widths = self._numbers([own.width, kept, kept])
        self.nodes.append(helper.make_node("Split", [both, widths], parts, f"{name}.split", axis=2))
        if own.attention == "GroupQueryAttention":
            return self._linear(f"{name}.c_proj", self._grouped(layer, name, *parts), own.width, own.width)
        if own.attention == "MultiHeadAttention":
            reads = [*parts, "", mask, *(["", *self._past_of(layer)] if own.past else [])]
            return self._linear(f"{name}.c_proj", self._fused(*reads, layer=layer), own.width, own.width)
        heads = (own.heads, own.heads // own.groups, own.heads // own.groups)
        apart = [self._numbers([0, 0, count, own.width // own.heads]) for count in heads]
        q, k, v = (self._op("Reshape", part, sizes) for part, sizes in zip(parts, apart, strict=True))
        q, v = (self._op("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
        if own.past or own.presents or own.rotary or own.groups > 1:
            k = self._op("Transpose", k, perm=[0, 2, 1, 3])
            q, k = (self._turned(part) if own.rotary else part for part in (q, k))
            k, v = (self._shared(self._behind_past(layer, part, x)) for part, x in (("key", k), ("value", v)))
            k = self._op("Transpose", k, perm=[0, 1, 3, 2])
        else:
            k = self._op("Transpose", k, perm=[0, 2, 3, 1])
        scores = self._op("MatMul", q, k)
        scores = self._op("Mul", scores, self._scalar((own.width // own.heads) ** -0.5))
        scores = self._op("Where", mask, scores, self._scalar(float(np.finfo(own.dtype).min)))
        mixed = self._op("MatMul", self._op("Softmax", scores, axis=-1), v)
        mixed = self._op("Reshape", self._op("Transpose", mixed, perm=[0, 2, 1, 3]), self._numbers([0, 0, -1]))
        return self._linear(f"{name}.c_proj", mixed, own.width, own.width)

    def _cross_attention(self, name: str, x: str) -> str:
        width, heads = self.sizes.width, self.sizes.heads
        apart, together = self._numbers([0, 0, heads, width // heads]), self._numbers([0, 0, -1])
        if self.sizes.told:
            batch = self._op("Gather", self._op("Shape", x), self._numbers([0]), axis=0)
            apart = self._op("Concat", batch, self._numbers([-1, heads, width // heads]), axis=0)
            together = self._op("Concat", batch, self._numbers([-1, width]), axis=0)
        read = {"q": x, "k": "encoder_hidden_states", "v": "encoder_hidden_states"}
        parts = [self._op("Reshape", self._linear(f"{name}.{n}", x, width, width), apart) for n, x in read.items()]
        q, k, v = (self._op("Transpose", part, perm=[0, 2, 1, 3]) for part in parts)
        scores = self._op("MatMul", q, self._op("Transpose", k, perm=[0, 1, 3, 2]))
        mixed = self._op("MatMul", self._op("Softmax", scores, axis=-1), v)
        mixed = self._op("Reshape", self._op("Transpose", mixed, perm=[0, 2, 1, 3]), together)
        return self._linear(f"{name}.c_proj", mixed, width, width)

    def _fused(self, *reads: str, layer: int = 0) -> str:
        own = self.sizes
        mixed = self._op(own.attention, *reads, domain="com.microsoft", num_heads=own.heads, unidirectional=1)
        self.nodes[-1].output.extend(f"present.{layer}.{part}" for part in ("key", "value") if own.past)
        return mixed

    def _past_of(self, layer: int) -> list[str]:
        return [f"past_key_values.{layer}.{part}" for part in ("key", "value")]

    def _turned(self, x: str) -> str:
        """Rotary positions: the second half of each head, negated, before the first."""
        half = self.sizes.width // self.sizes.heads // 2
        first = self._op("Slice", x, self._numbers([0]), self._numbers([half]), self._numbers([3]))
        second = self._op("Slice", x, self._numbers([half]), self._numbers([2 * half]), self._numbers([3]))
        other = self._op("Concat", self._op("Neg", second), first, axis=-1)
        return self._op("Add", self._op("Mul", x, "cos"), self._op("Mul", other, "sin"))

    def _behind_past(self, layer: int, part: str, x: str) -> str:
        name = f"present.{layer}.{part}"
        if not self.sizes.past:
            return self._op("Identity", x, name=name) if self.sizes.presents else x
        return self._op("Concat", f"past_key_values.{layer}.{part}", x, name=name, axis=-2)

    def _shared(self, x: str) -> str:
        """Heads of keys or values, each as often as it is read."""
        own = self.sizes
        if own.groups == 1:
            return x
        wide = self._op("Expand", self._op("Unsqueeze", x, self._numbers([2])), self._numbers([1, 1, own.groups, 1, 1]))
        return self._op("Reshape", wide, self._numbers([0, own.heads, -1, own.width // own.heads]))

    def _grouped(self, layer: int, name: str, *parts: str) -> str:
        """Attention that is told the length of each row: what a mask says, or all have all positions."""
        own = self.sizes
        total = self._op("Cast", "length", to=TensorProto.INT32)
        last = self._op("Sub", total, self._constant("one32", np.array(1, np.int32)))
        lengths = self._op("Expand", last, self._op("Shape", "input_ids", start=0, end=1))
        if own.padding:
            counted = self._op("ReduceSum", "attention_mask", self._numbers([1]), keepdims=1)
            lengths = self._op("Cast", self._op("Sub", counted, self._numbers(1)), to=TensorProto.INT32)
        keys = [f"present.{layer}.{part}" if own.past else f"{name}.{part}" for part in ("key", "value")]
        reads = [*parts, *(self._past_of(layer) if own.past else ["", ""]), lengths, total]
        counts = {"num_heads": own.heads, "kv_num_heads": own.heads // own.groups, "do_rotary": int(own.rotary)}
        if own.rotary:
            size = own.width // own.heads // 2
            angles = np.arange(own.longest)[:, None] * 100.0 ** -(np.arange(size) / size)
            reads += [self._constant(f"{f.__name__}.of half", f(angles).astype(own.dtype)) for f in (np.cos, np.sin)]
        outputs = [f"{name}.mixed", *keys]
        node = helper.make_node("GroupQueryAttention", reads, outputs, name, domain="com.microsoft")
        node.attribute.extend(helper.make_attribute(kind, count) for kind, count in counts.items())
        self.nodes.append(node)
        return outputs[0]

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
