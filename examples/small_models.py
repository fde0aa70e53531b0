"""Small models that the examples run on, with random weights. ``python small_models.py`` writes what 01 reads.

They are as models of their kind are built, but for their size: each takes about a millisecond a row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser

import actcache

WIDTH = 256


def text_encoder(path: Path, layers: int = 6) -> Path:
    """Token ids ``ids``, int64 [N, tokens], to ``embedding``, float32 [N, 256]. Id 0 is padding."""
    body = "".join(f"m{i} = MatMul(t{i}, w{i}) t{i + 1} = Tanh(m{i}) " for i in range(layers))
    graph = f"""encoder (int64[N, T] ids) => (float[N, {WIDTH}] embedding)
        {{ t0 = Gather(words, ids) {body} embedding = ReduceMean<axes = [1], keepdims = 0>(t{layers}) }}"""
    return _write(path, graph, {"words": (1000, WIDTH), **_square(layers)})


def line_reader(path: Path, layers: int = 4) -> Path:
    """Pictures of lines ``line``, float32 [N, 1, 16, pixels], to ``scores``, float32 [N, pixels, 64]."""
    body = "".join(f"c{i} = Conv<pads = [1, 1, 1, 1]>(r{i}, k{i}) r{i + 1} = Relu(c{i}) " for i in range(layers))
    graph = f"""reader (float[N, 1, 16, P] line) => (float[N, P, 64] scores)
        {{ r0 = Identity(line) {body} flat = ReduceMean<axes = [2], keepdims = 0>(r{layers})
           turned = Transpose<perm = [0, 2, 1]>(flat) scores = MatMul(turned, head) }}"""
    kernels = {f"k{i}": (32, 32 if i else 1, 3, 3) for i in range(layers)}
    return _write(path, graph, {**kernels, "head": (32, 64)})


def two_towers(path: Path, layers: int = 6) -> Path:
    """A ``user``, float32 [1, 256], and ``items``, float32 [N, 16], to ``scores``, float32 [N, 1]. Users are costly."""
    body = "".join(f"m{i} = MatMul(t{i}, w{i}) t{i + 1} = Tanh(m{i}) " for i in range(layers))
    graph = f"""towers (float[1, {WIDTH}] user, float[N, 16] items) => (float[N, 1] scores)
        {{ t0 = Identity(user) {body} u = MatMul(t{layers}, down) c = Transpose(u) scores = MatMul(items, c) }}"""
    return _write(path, graph, {**_square(layers), "down": (WIDTH, 16)})


def decoder(path: Path, layers: int = 4) -> Path:
    """Token ids ``ids``, int64 [N, tokens], to ``logits``, float32 [N, tokens, 1000]. It looks back, never ahead."""
    scale = 1 / WIDTH**0.5
    body = "".join(
        f"""q{i} = MatMul(t{i}, q{i}w) k{i} = MatMul(t{i}, k{i}w) v{i} = MatMul(t{i}, v{i}w)
            kt{i} = Transpose<perm = [0, 2, 1]>(k{i}) s{i} = MatMul(q{i}, kt{i}) m{i} = Mul(s{i}, scale)
            c{i} = Where(ahead, closed, m{i}) p{i} = Softmax<axis = -1>(c{i}) a{i} = MatMul(p{i}, v{i})
            h{i} = Tanh(a{i}) t{i + 1} = Add(t{i}, h{i}) """
        for i in range(layers)
    )
    graph = f"""decoder (int64[N, T] ids) => (float[N, T, 1000] logits)
        <float scale = {{{scale}}}, float closed = {{-1e30}}, int64 zero = {{0}}, int64 one = {{1}},
         int64[1] first = {{0}}, int64[1] second = {{1}}>
        {{ sizes = Shape(ids) tokens = Gather<axis = 0>(sizes, one) places = Range(zero, tokens, one)
           down = Unsqueeze(places, second) right = Unsqueeze(places, first) ahead = Less(down, right)
           t0 = Gather(words, ids) {body} logits = MatMul(t{layers}, head) }}"""
    weights = {f"{name}{i}w": (WIDTH, WIDTH) for i in range(layers) for name in "qkv"}
    return _write(path, graph, {"words": (1000, WIDTH), **weights, "head": (WIDTH, 1000)})


def _square(layers: int) -> dict[str, tuple[int, ...]]:
    return {f"w{i}": (WIDTH, WIDTH) for i in range(layers)}


def _write(path: Path, graph: str, weights: dict[str, tuple[int, ...]]) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}')
    random = np.random.default_rng(0)
    for name, shape in weights.items():
        value = random.standard_normal(shape).astype(np.float32) * float(np.prod(shape[1:])) ** -0.5
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    print(text_encoder(Path("encoder.onnx")))
    print(actcache.save_sample("sample.npz", {"ids": np.arange(32).reshape(4, 8)}))
