"""Two Ray nodes that share a Valkey or Redis server: ``python run.py redis://localhost:6379``.

Both nodes run on this machine, as ``ray.cluster_utils`` starts them. An actor on the first one computes every row; one
on the second starts with nothing in memory, and finds all of them on the server.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import actcache

LAYERS, WIDTH = 24, 768
ROWS = 16


def compile_model(folder: Path) -> Path:
    """A stack of matrix products, which takes milliseconds a row, compiled with its caches."""
    layers = "".join(f"m{i} = MatMul(t{i}, w) t{i + 1} = Tanh(m{i}) " for i in range(LAYERS))
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> encoder (float[N, {WIDTH}] x) => (float[N, {WIDTH}] y)
            {{ t0 = Identity(x) {layers} y = Identity(t{LAYERS}) }}"""
    )
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32) / 28
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, folder / "encoder.onnx")
    return actcache.compile_model(folder / "encoder.onnx", min_saving=0).output


class Encoder:
    """An actor, as any: the server is named in its environment, and nothing else has to change."""

    def __init__(self, model: str) -> None:
        """Load the model."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = actcache.InferenceSession(model, options)

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Encode a batch."""
        encoded: np.ndarray = self.session.run(None, {"x": rows})[0]
        return encoded

    def done(self) -> tuple[int, int]:
        """How many rows were computed, and found on the server."""
        actcache.flush(10)  # a service that goes on need not do that
        (region,) = actcache.stats()["regions"].values()
        return region["misses"] + region["bypassed"], region["remote_hits"]


def main(address: str) -> None:
    """Runs an actor on one node after the other."""
    secret = os.environ.get("ACTCACHE_REMOTE_SECRET", "what all our machines have in common")
    environment = {"env_vars": {"ACTCACHE_REMOTE_URL": address, "ACTCACHE_REMOTE_SECRET": secret}}
    rows = np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float32)
    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    ray.init(address=cluster.address)
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = compile_model(Path(folder))
            for name, found in zip(("first", "second"), ray.nodes(), strict=True):
                place = NodeAffinitySchedulingStrategy(found["NodeID"], soft=False)
                actor = ray.remote(num_cpus=1, runtime_env=environment, scheduling_strategy=place)(Encoder)
                encoder = actor.remote(str(model))
                for first in range(0, ROWS, 4):
                    ray.get(encoder.encode.remote(rows[first : first + 4]))
                computed, on_server = ray.get(encoder.done.remote())
                print(f"{name} node: rows computed: {computed}, found on the server: {on_server}")
                ray.kill(encoder)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python run.py redis://localhost:6379")
    main(sys.argv[1])
