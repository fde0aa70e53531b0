"""A process that runs a model whose values are worth a store on disk, and that is told what to do line by line.

The settings of its cache come from the environment. ``python -m benchmarks.tier_process MODEL`` reads commands from its
input, each a JSON list of a name and arguments, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

import actcache

#: A row is as large before the model as behind it: 64 KiB.
TOKENS, WIDTH, LAYERS = 64, 256, 24
VALUE_BYTES = TOKENS * WIDTH * 4


def compiled(folder: Path) -> Path:
    """Compile the model into `folder`: a row takes milliseconds, and fetching it far less."""
    layers = "".join(f"m{i} = MatMul(t{i}, w) t{i + 1} = Tanh(m{i}) " for i in range(LAYERS))
    shape = f"float[N, {TOKENS}, {WIDTH}]"
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g ({shape} x) => ({shape} t{LAYERS}) {{ t0 = Identity(x) {layers} }}'
    )
    weight = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32) / np.sqrt(np.float32(WIDTH))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(proto, folder / "tiers.onnx")
    return actcache.compile_model(folder / "tiers.onnx", min_saving=0, verify=False).output


class TierProcess:
    """Such a process, from the side of who tells it what to do. It ends with the ``with`` block."""

    def __init__(self, model: Path, **environment: str) -> None:
        """Start it with these variables in its environment, besides those of this process that name no knob."""
        rest = {name: value for name, value in os.environ.items() if not name.startswith("ACTCACHE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.tier_process", str(model)],
            env={**rest, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> TierProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def begin(self, name: str, *arguments: Any) -> None:
        """Let it do something; :meth:`result` has what came of it."""
        assert self._process.stdin is not None
        print(json.dumps([name, *arguments]), file=self._process.stdin, flush=True)

    def result(self) -> Any:
        """What came of the oldest command that was begun.

        Raises:
            RuntimeError: The process has ended; its own message is on stderr.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that is measured has ended")
        return json.loads(line)

    def do(self, name: str, *arguments: Any) -> Any:
        """Let it do something, and wait for it."""
        self.begin(name, *arguments)
        return self.result()


class _Commands:
    """What the process can do. Times are in seconds."""

    def __init__(self, model: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = actcache.InferenceSession(model, options)

    def calls(self, numbers: list[int]) -> list[float]:
        """Run the rows of these numbers, one a call, and return what each call took."""
        return [self._call(number) for number in numbers]

    def twice(self, numbers: list[int]) -> list[list[float]]:
        """The same, each row twice in a row: a pair of times for each."""
        return [[self._call(number), self._call(number)] for number in numbers]

    def flush(self) -> bool:
        """Write what waits to be written."""
        return actcache.flush(120)

    def counts(self) -> dict[str, int]:
        """Rows by what became of them."""
        (region,) = actcache.stats()["regions"].values()
        return {name: region[name] for name in ("hits", "disk_hits", "misses")}

    def tier(self) -> dict[str, int]:
        """What the store on disk holds."""
        tier = actcache.stats()["tiers"]["disk"]
        return {name: tier[name] for name in ("entries", "bytes")}

    def _call(self, number: int) -> float:
        feed = {"x": np.random.default_rng(number).standard_normal((1, TOKENS, WIDTH), np.float32)}
        start = time.perf_counter()
        self._session.run(None, feed)
        return time.perf_counter() - start


def main() -> int:
    """Answer commands until there are no more."""
    commands = _Commands(sys.argv[1])
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        command: Callable[..., Any] = getattr(commands, name)
        print(json.dumps(command(*arguments)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
