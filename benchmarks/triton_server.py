"""What benchmarks.triton runs in the environment of nvidia-pytriton: it imports nothing of this project.

    python triton_server.py FOLDER

The folder has ``original.onnx``, ``compiled.onnx``, ``library`` (the path of actcache's) and ``requests.npz``:
``known`` [rows, tokens], ``unique`` and ``changed`` [turns, rows, tokens]. The last line it prints is one JSON object:
milliseconds by model and kind of request, the largest difference to the original, and what shape a request of another
shape got.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from pytriton.client import ModelClient
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

OUTPUT = "461"  # the sentence's vector
MODELS = ("original", "cached", "compiled")


def _session(folder: Path, name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if name == "compiled":
        options.register_custom_ops_library((folder / "library").read_text())
    file = "compiled.onnx" if name == "compiled" else "original.onnx"
    return ort.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])


def _bind(triton: Triton, folder: Path, name: str) -> None:
    session = _session(folder, name)

    def infer(requests: list[Any]) -> list[dict[str, Any]]:
        feeds = [{"input_ids": each["ids"], "attention_mask": (each["ids"] != 0).astype(np.int64)} for each in requests]
        return [{"vector": session.run([OUTPUT], feed)[0]} for feed in feeds]

    ids = Tensor(name="ids", dtype=np.int64, shape=(-1, -1))
    vector = Tensor(name="vector", dtype=np.float32, shape=(-1, -1))
    config = ModelConfig(batching=False, response_cache=name == "cached")
    triton.bind(name, infer, inputs=[ids], outputs=[vector], config=config)


def _bind_shapes(triton: Triton) -> None:
    """A model that tells the shape of what it is given, behind the response cache."""

    def infer(requests: list[Any]) -> list[dict[str, Any]]:
        return [{"shape": np.array([each["x"].shape], np.int64)} for each in requests]

    x = Tensor(name="x", dtype=np.float32, shape=(-1, -1))
    shape = Tensor(name="shape", dtype=np.int64, shape=(-1, -1))
    triton.bind("shapes", infer, inputs=[x], outputs=[shape], config=ModelConfig(batching=False, response_cache=True))


def _measured(clients: dict[str, ModelClient], requests: dict[str, Any]) -> dict[str, Any]:
    times: dict[str, dict[str, list[float]]] = {name: {} for name in MODELS}
    difference = 0.0
    for turn in range(len(requests["unique"])):
        for kind in ("unique", "same", "changed"):
            ids = requests["known"] if kind == "same" else requests[kind][turn]
            answers = {}
            for step in range(len(MODELS)):
                name = MODELS[(turn + step) % len(MODELS)]
                start = time.perf_counter()
                answers[name] = clients[name].infer_sample(ids)["vector"]
                times[name].setdefault(kind, []).append(1e3 * (time.perf_counter() - start))
            for name in MODELS[1:]:
                difference = max(difference, float(np.abs(answers[name] - answers["original"]).max()))
    return {"milliseconds": times, "largest_difference": difference}


def main() -> int:
    """Serve, ask, and print."""
    folder = Path(sys.argv[1])
    requests = dict(np.load(folder / "requests.npz"))
    ports = [_free_port() for _ in range(3)]
    names = ("http_port", "grpc_port", "metrics_port")
    config = TritonConfig(cache_config=["local,size=268435456"], **dict(zip(names, ports, strict=True)))
    with Triton(config=config) as triton:
        for name in MODELS:
            _bind(triton, folder, name)
        _bind_shapes(triton)
        triton.run()
        address = f"http://localhost:{ports[0]}"
        clients = {name: ModelClient(address, name) for name in (*MODELS, "shapes")}
        for name in MODELS:
            clients[name].infer_sample(requests["known"])
        found = _measured(clients, requests)
        numbers = np.arange(6, dtype=np.float32)
        clients["shapes"].infer_sample(numbers.reshape(2, 3))
        answer = clients["shapes"].infer_sample(numbers.reshape(3, 2))["shape"]
        for client in clients.values():
            client.close()
    print(json.dumps({**found, "shape_told_of_3_2": answer.ravel().tolist()}))
    return 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
