"""What the programs of the documentation are run with."""

from __future__ import annotations

import numpy as np
import onnx
from graphs import parse

#: Pages with runnable programs: the model that they take for the reader's, what is done first, and what they print.
RUNNABLE = {
    "README.md": (
        "e = Gather(words, input_ids) m = ReduceMean<axes = [1]>(e) t0 = Sub(e, m)",
        "(int64[N, T] input_ids, int64[N, T] attention_mask)",
        "import actcache; actcache.compile_model('encoder.onnx', min_saving=0)",
        "'hits': 11, 'misses': 8,",
    ),
    "docs/quickstart.md": ("t0 = Identity(x)", "(float[N, 256] x)", "", "hits 7 misses 9"),
}


def deep_encoder(first: str, inputs: str, layers: int = 40) -> onnx.ModelProto:
    """A model that is worth caching on any machine: its first node is given."""
    body = "".join(f"m{i} = MatMul(t{i}, w) t{i + 1} = Tanh(m{i}) " for i in range(layers))
    rank = "N, T, 256" if "T]" in inputs else "N, 256"
    model = parse(f"encoder {inputs} => (float[{rank}] t{layers}) {{ {first} {body} }}")
    random = np.random.default_rng(0)
    for name, height in {"w": 256, "words": 20000}.items():
        value = random.standard_normal((height, 256)).astype(np.float32) / 16
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model
