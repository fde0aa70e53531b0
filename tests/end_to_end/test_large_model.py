"""A model over 2 GB, which no single protobuf can hold: compiled and run without all weights in memory at once."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import actcache
from actcache.errors import OutputError

TABLES, ROWS, WIDTH = 5, 1 << 17, 1024
SIZE = TABLES * ROWS * WIDTH * 4
#: What the compiler and what it starts may allocate at once: one table and a half, of five. Mapped files do not count.
MEMORY_LIMIT = 3 << 28

COMPILE = """
import sys
import actcache
result = actcache.compile_model(sys.argv[1], sys.argv[2], min_saving=0)
print(*(region.candidate.region.granularity for region in result.regions))
"""


def allocated(pid: int) -> int:
    """Bytes that a process and those it started hold for themselves now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = [int(c) for path in Path(f"/proc/{pid}/task").glob("*/children") for c in path.read_text().split()]
    except OSError:  # it has ended
        return 0
    held = re.search(r"RssAnon:\s+(\d+) kB", status)
    return (int(held[1]) << 10 if held else 0) + sum(map(allocated, children))


def large_model(folder: Path) -> Path:
    """Five tables of 512 MiB, of which a call reads a few rows; the file has holes where they are 0."""
    lookups = "\n".join(f"r{i} = Gather(table{i}, ids)" for i in range(TABLES))
    total = "\n".join(f"s{i} = Add({'r0' if i == 1 else f's{i - 1}'}, r{i})" for i in range(1, TABLES))
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (int64[N, S] ids) => (float[N, WIDTH] y) {{
        {lookups} {total} t = Tanh(s{TABLES - 1}) y = ReduceMean<axes = [1], keepdims = 0>(t) }}""".replace(
            "WIDTH", str(WIDTH)
        )
    )
    step = ROWS * WIDTH * 4
    with (folder / "large.data").open("wb") as file:
        file.truncate(SIZE)
        for i in range(TABLES):
            file.seek(i * step)
            file.write(np.random.default_rng(i).standard_normal((64, WIDTH)).astype(np.float32).tobytes())
    for i in range(TABLES):
        tensor = proto.graph.initializer.add(name=f"table{i}", data_type=onnx.TensorProto.FLOAT, dims=[ROWS, WIDTH])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "large.data"), ("offset", str(i * step)), ("length", str(step))):
            tensor.external_data.add(key=key, value=value)
    path = folder / "large.onnx"
    onnx.save(proto, path)
    return path


def feed(seed: int, rows: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 64, (rows, 7))


def rows_counted() -> tuple[int, int]:
    """Hits and misses of all regions."""
    regions = actcache.stats()["regions"].values()
    return sum(r["hits"] for r in regions), sum(r["misses"] for r in regions)


@pytest.mark.slow
def test_a_model_over_two_gigabytes(tmp_path: Path) -> None:
    source, target = large_model(tmp_path), tmp_path / "out.onnx"
    try:
        command = [sys.executable, "-c", COMPILE, str(source), str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as compiling:
            most = 0
            while compiling.poll() is None:
                most = max(most, allocated(compiling.pid))
                time.sleep(0.05)
            assert compiling.returncode == 0 and compiling.stdout is not None and compiling.stdout.read() == "row\n"
        assert 16 << 20 < most < MEMORY_LIMIT
        (weights,) = (path for path in tmp_path.glob("out.*.data"))
        assert weights.stat().st_size == SIZE and target.stat().st_size < 1 << 20
        onnx.checker.check_model(str(target), full_check=True)

        batch = feed(0, 4)
        expected = ort.InferenceSession(str(source)).run(None, {"ids": batch})[0]
        options = ort.SessionOptions()
        actcache.register(options)
        session = ort.InferenceSession(str(target), options)
        actcache.invalidate()
        before = rows_counted()
        cold = session.run(None, {"ids": batch})[0]
        warm = session.run(None, {"ids": batch[::-1]})[0]
        after = rows_counted()
        np.testing.assert_allclose(cold, expected, rtol=1e-5, atol=1e-5)
        assert np.array_equal(warm, cold[::-1])
        assert (after[0] - before[0], after[1] - before[1]) == (4, 4)
        del session
    finally:
        for path in tmp_path.glob("*.data"):  # what pytest keeps of a test must not be gigabytes
            path.unlink()


def test_a_single_file_of_over_two_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    source = large_model(tmp_path)
    try:
        with pytest.raises(OutputError, match=r"2\.7 GB, more than the 2 GB of a single file.*leave out --single-file"):
            actcache.compile_model(source, single_file=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["large.data", "large.onnx"]
    finally:
        (tmp_path / "large.data").unlink()
