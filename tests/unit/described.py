"""A model with something of everything that has to survive a compilation."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser

#: Everything a model can say, around a computation that is worth caching.
TEXT = """
<ir_version: 10, opset_import: ["local" : 3, "" : 17, "unused.domain" : 2], producer_name: "exporter",
 producer_version: "1.2", domain: "org.example", model_version: 7, doc_string: "the model">
network (float[batch, time, 64] x, float[batch, 64] state, string[batch] names)
    => (float[batch, time, 64] y, float[batch, 64] z, float[batch, time, 64] raw, string[batch] same)
<float[batch, time, 64] a, float[batch, time, 64] c>
{
    a = MatMul(x, w)
    b = Add(a, bias)
    c = local.block<alpha = 0.5>(b)
    y = Mul(c, default)
    d = MatMul(state, w)
    z = Sub(d, default)
    raw = Dropout(b)
    same = Identity(names)
    unread = Identity(tag)
}
<domain: "local", opset_import: ["" : 16], doc_string: "a block">
block <alpha> (v) => (o) { k = Constant<value_float: float = @alpha>() h = Mul(v, k) o = Tanh(h) }
<domain: "local", opset_import: ["" : 17]>
never (v) => (o) { o = Neg(v) }
"""


def described_model() -> onnx.ModelProto:
    proto = onnx.parser.parse_model(TEXT)
    graph = proto.graph
    generator = np.random.default_rng(0)
    values: dict[str, Any] = {
        "unused": np.arange(3),
        "w": generator.standard_normal((64, 64)).astype(np.float32),
        "bias": generator.standard_normal(64).astype(np.float32),
        "default": np.array([2.0], np.float32),
        "tag": np.array(["a", "b"], dtype=object),
        "empty": np.zeros((0, 4), np.float32),
    }
    for name, value in values.items():
        tensor = graph.initializer.add()
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, name))
        tensor.doc_string = f"the constant {name}"
        tensor.metadata_props.add(key="of", value=name)
    graph.initializer[2].CopyFrom(onnx.helper.make_tensor("bias", 1, [64], values["bias"].tolist()))
    graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info("default", onnx.TensorProto.FLOAT, [1]))
    sparse = graph.sparse_initializer.add(dims=[64])
    sparse.values.CopyFrom(onnx.numpy_helper.from_array(np.array([1.5], np.float32), "sparse"))
    sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.array([5])))
    for index, node in enumerate(graph.node):
        node.name, node.doc_string = f"node {index}", f"the {node.op_type}"
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=f"['scope.{index}']")
    for value in [*graph.input, *graph.output, *graph.value_info]:
        value.doc_string = f"the tensor {value.name}"
        value.metadata_props.add(key="of", value=value.name)
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    graph.doc_string = "the graph"
    graph.metadata_props.add(key="graph", value="of the model")
    for name in ("b", "y"):
        annotation = graph.quantization_annotation.add(tensor_name=name)
        annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="default")
    proto.metadata_props.add(key="author", value="someone")
    proto.functions[0].metadata_props.add(key="function", value="block")
    training = proto.training_info.add()
    training.algorithm.name = "training"
    return proto
