"""Small models for the tests of the passes, written as ONNX text."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser

from actcache.passes.graph.view import GraphView


def model(body: str, *, opset: int = 17, domains: str = "", ir_version: int = 8) -> onnx.ModelProto:
    """Parse ``name (inputs) => (outputs) { nodes }`` into a model."""
    imports = f'"" : {opset}' + (f", {domains}" if domains else "")
    return onnx.parser.parse_model(f"<ir_version: {ir_version}, opset_import: [{imports}]> {body}")


def view(body: str, **options: object) -> GraphView:
    """The view of :func:`model`."""
    return GraphView(model(body, **options))  # type: ignore[arg-type]


#: Two towers that meet: ``a`` goes through an expensive one, ``b`` through a cheap one.
TOWERS = """
towers (float[N, 8] a, float[N, 4] b) => (float[N, 4] y)
<float[8, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
 float[1] two = {2.0}>
{
    h = MatMul(a, w)
    t = Tanh(h)
    s = Mul(b, two)
    y = Add(t, s)
}
"""


def parse(graph: str, opsets: str = '"": 17') -> onnx.ModelProto:
    return onnx.parser.parse_model(f"<ir_version: 8, opset_import: [{opsets}]> {graph}")


def encoder(width: int = 256) -> onnx.ModelProto:
    """Three matrix products with weights inside: worth caching, small, quick."""
    model = parse(
        """encoder (float[N, W] x) => (float[N, W] y)
           { a = MatMul(x, w0)  b = Relu(a)  c = MatMul(b, w1)  d = Tanh(c)  y = MatMul(d, w2) }""".replace(
            "W", str(width)
        )
    )
    generator = np.random.default_rng(0)
    for name in ("w0", "w1", "w2"):
        weight = generator.standard_normal((width, width)).astype(np.float32) / width**0.5
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    return model
