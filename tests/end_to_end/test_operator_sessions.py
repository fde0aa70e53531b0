"""CacheLookup and CacheStore under configuration, sessions, threads and faults, through plain onnxruntime."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hand_written import LIBRARY, Control, Region, Tensor, batch, session, squares

# -- Configuration ----------------------------------------------------------------------------------------------------


def test_budget_zero_turns_the_cache_off(control: Control) -> None:
    region, whole = squares(), Region([Tensor("x")], [Tensor("y")], "y_m = Mul(x, x)", "tensor")
    models = [region.session(), whole.session()]
    x = batch(1, 2, 1)
    control.configure("budget_bytes", "0")
    for model in models * 2:
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
    assert control.counts(region, "bypassed", "hits", "misses") == (6, 0, 0)
    assert control.counts(whole, "bypassed", "hits", "misses") == (2, 0, 0)
    assert control.store()["bytes"] == 0
    control.configure("budget_bytes", None)
    for _ in range(2):
        models[0].run(None, {"x": x})
    assert control.counts(region, "bypassed", "hits", "misses") == (6, 4, 2)


def test_the_budget_holds(control: Control) -> None:
    region = squares()
    model = region.session()
    control.configure("budget_bytes", "5000")
    for start in range(0, 400, 10):
        x = batch(*range(start, start + 10))
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
        assert control.store()["bytes"] <= 5000
    counters = control.stats(region)
    assert counters["stored"] + counters["not_admitted"] == counters["misses"] == 400
    assert counters["evicted"] + counters["not_admitted"] > 0


@pytest.mark.parametrize("kind", ["blake3", "xxh3"])
def test_hashes(control: Control, kind: str) -> None:
    control.configure("hash", kind)
    region = squares()
    model = region.session()
    for _ in range(2):
        model.run(None, {"x": batch(1, 2)})
    assert control.counts(region, "misses", "hits") == (2, 2)


def test_entries_of_another_hash_are_not_found(control: Control) -> None:
    region = squares()
    model = region.session()
    for kind in ("blake3", "xxh3", "blake3"):
        control.configure("hash", kind)
        model.run(None, {"x": batch(1)})
    assert control.counts(region, "misses", "hits") == (2, 1)


def test_namespaces_are_separate(control: Control) -> None:
    region = squares()
    control.configure("namespace", "shared")
    a, b, default = region.session(namespace="a"), region.session(namespace="b"), region.session()
    x = batch(1, 2)
    for model in (a, b, default):
        model.run(None, {"x": x})
    assert control.counts(region, "misses", "hits") == (6, 0)
    assert control.invalidate("a") == 2
    assert control.invalidate("nobody's") == 0
    for model, misses, hits in ((a, 8, 0), (b, 8, 2), (default, 8, 4)):
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
        assert control.counts(region, "misses", "hits") == (misses, hits)
    assert control.invalidate("shared") == 2
    assert control.invalidate() >= 4
    assert control.store()["entries"] == 0


def test_configuration_is_checked(control: Control) -> None:
    for name, value in [("budget_bytes", "1 GB"), ("hash", "md5"), ("size", "1")]:
        with pytest.raises(ValueError, match=name):
            control.configure(name, value)
    with pytest.raises(Exception, match=r'actcache\.budget_bytes is "lots", but has to be'):
        squares().session(budget_bytes="lots")
    control.configure("budget_bytes", "1000000")
    assert control.config()["budget_bytes"] == 1000000


# -- Sessions, threads, faults ----------------------------------------------------------------------------------------


def test_sessions_share_entries(control: Control) -> None:
    region = squares()
    first = region.session()
    first.run(None, {"x": batch(1, 2)})
    del first  # and with it the last user of the library
    second = region.session()
    for _ in range(2):  # the first rows of another session are compared
        second.run(None, {"x": batch(2, 1)})
    assert control.counts(region, "misses", "hits", "verified") == (4, 2, 2)


def test_another_fingerprint_shares_nothing(control: Control) -> None:
    first = squares()
    second = squares(id=first.id, fingerprint="fedcba9876543210")
    for region in (first, second):
        region.session().run(None, {"x": batch(1)})
    assert control.counts(first, "misses", "hits") == (1, 0)
    second.id += "@fedcba98"
    assert control.counts(second, "misses", "hits") == (1, 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_eight_threads_on_one_session(control: Control, threads: int) -> None:
    region = squares()
    model = region.session(threads)
    errors: list[str] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(60):
            x = batch(*random.integers(0, 40, size=random.integers(1, 12)))
            if not np.array_equal(model.run(None, {"x": x})[0], x * x):
                errors.append(f"wrong for {x[:, 0]}")
            control.stats(region)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    hits, misses, stored = control.counts(region, "hits", "misses", "stored")
    assert hits > misses >= stored == 40


def test_large_rows_with_several_threads(control: Control) -> None:
    # Rows above the sizes from which hashing is cut into segments and copies run in parallel.
    region = Region([Tensor("x", shape="[N, 3, 200000]")], [Tensor("y", shape="[N, 3, 200000]")], "y_m = Neg(x_c)")
    x = np.random.default_rng(0).random((4, 3, 200000), dtype=np.float32)
    sessions = {threads: region.session(threads) for threads in (1, 2)}
    # Two rows of the first session are compared.
    for threads, rows, misses in [(1, [0, 1], 2), (2, [1, 0, 2], 5), (2, [3, 2, 1, 0], 6), (1, [3], 6)]:
        assert np.array_equal(sessions[threads].run(None, {"x": x[rows]})[0], -x[rows])
        assert control.counts(region, "misses") == (misses,)
    x[2, 1, 77] += 1
    assert np.array_equal(sessions[1].run(None, {"x": x})[0], -x)
    assert control.counts(region, "misses") == (7,)


def test_a_failing_region_leaves_nothing_behind(control: Control) -> None:
    region = Region(
        [Tensor("i", "int64", "[N]")],
        [Tensor("y", shape="[N]")],
        "table = Constant <value_floats: floats = [10.0, 20.0, 30.0]> () y_m = Gather(table, i_c)",
    )
    model = region.session()
    model.run(None, {"i": np.array([0])})
    before = control.store()
    for _ in range(3):
        with pytest.raises(Exception, match="out of data bounds"):
            model.run(None, {"i": np.array([0, 1, 99])})
    assert control.store() == before
    for _ in range(2):
        assert model.run(None, {"i": np.array([2, 0, 1])})[0].tolist() == [30, 10, 20]
    # What was looked up in the failed runs stays counted: 3 times a hit and two misses.
    assert control.counts(region, "hits", "misses", "stored") == (3 + 1 + 3, 1 + 6 + 2, 3)


def test_a_terminated_run_leaves_nothing_behind(control: Control) -> None:
    region = squares()
    model = region.session()
    before = control.store()
    options = ort.RunOptions()
    options.terminate = True
    with pytest.raises(Exception, match="terminate"):
        model.run(None, {"x": batch(1, 2)}, options)
    assert control.store() == before
    assert np.array_equal(model.run(None, {"x": batch(1, 2)})[0], batch(1, 2) ** 2)


def test_clear_takes_effect_at_once(control: Control) -> None:
    region = squares()
    model = region.session()
    model.run(None, {"x": batch(1, 2)})
    assert control.invalidate() >= 2
    model.run(None, {"x": batch(1, 2)})
    assert control.counts(region, "misses", "hits", "bytes")[:2] == (4, 0)


def test_a_wrong_model_is_refused_when_it_is_loaded(control: Control) -> None:
    def changed(change: Callable[[onnx.NodeProto], None]) -> None:
        model = squares().proto()
        change(next(node for node in model.graph.node if node.op_type == "CacheLookup"))
        session(model)

    def drop(name: str) -> Callable[[onnx.NodeProto], None]:
        def change(node: onnx.NodeProto) -> None:
            node.attribute.remove(next(a for a in node.attribute if a.name == name))

        return change

    def replace(name: str, value: Any) -> Callable[[onnx.NodeProto], None]:
        def change(node: onnx.NodeProto) -> None:
            drop(name)(node)
            node.attribute.append(onnx.helper.make_attribute(name, value))

        return change

    needed = "region fingerprint granularity input_row_axes output_row_axes output_types"
    for name in needed.split():
        with pytest.raises(Exception, match=f'CacheLookup needs the attribute "{name}"'):
            changed(drop(name))
    changed(drop("size_equations"))  # there are none
    with pytest.raises(Exception, match="granularity is"):
        changed(replace("granularity", "tile"))
    with pytest.raises(Exception, match="input_row_axes has 2 entries, and CacheLookup 1 inputs"):
        changed(replace("input_row_axes", [0, 0]))
    with pytest.raises(Exception, match="of element type 1 in the model, but 11 by the attributes"):
        changed(replace("output_types", [onnx.TensorProto.DOUBLE]))
    with pytest.raises(Exception, match="live-outs of element type 8 cannot be cached"):
        changed(replace("output_types", [onnx.TensorProto.STRING]))


def test_a_process_without_the_package(tmp_path: Path, control: Control) -> None:
    """Plain onnxruntime, configured by the environment alone; and it has nothing to warn of."""
    region = squares()
    onnx.save(region.proto(), tmp_path / "model.onnx")
    script = f"""
import ctypes, json, sys
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.register_custom_ops_library({str(LIBRARY)!r})
session = onnxruntime.InferenceSession({str(tmp_path / "model.onnx")!r}, options, providers=["CPUExecutionProvider"])
x = np.arange(12, dtype=np.float32).reshape(4, 3)
for rows in ([0, 1], [1, 2, 0], [3, 1, 3], [1], [], [0, 1, 2, 3]):
    assert np.array_equal(session.run(None, {{"x": x[rows]}})[0], x[rows] ** 2)
assert not any(name.startswith("actcache") for name in sys.modules)
library = ctypes.CDLL({str(LIBRARY)!r})
buffer = ctypes.create_string_buffer(10000)
library.actcache_stats_json(buffer, len(buffer))
print(json.dumps(json.loads(buffer.value)["regions"][{region.id!r}]))
library.actcache_config_json(buffer, len(buffer))
print(buffer.value.decode())
"""
    environment = {"ACTCACHE_HASH": "xxh3", "ACTCACHE_BUDGET_BYTES": "12345678", "ACTCACHE_NAMESPACE": "n"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    counters, config = map(json.loads, done.stdout.splitlines())
    assert (counters["misses"], counters["hits"], counters["duplicates"]) == (4, 9, 1)
    assert config.items() >= {"hash": "xxh3", "budget_bytes": 12345678, "namespace": "n"}.items()


def test_the_library_exports_its_interface_and_nothing_else(control: Control) -> None:
    listing = subprocess.run(
        ["nm", "--dynamic", "--defined-only", str(LIBRARY)], capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip(f"nm does not work here: {listing.stderr}")
    names = {line.split()[-1] for line in listing.stdout.splitlines()}
    header = Path(__file__).parents[2] / "custom_ops" / "include" / "actcache.h"
    declared = set(re.findall(r"\b(actcache_\w+)\(", header.read_text()))
    assert "actcache_configure" in declared
    assert names == {"RegisterCustomOps", *declared}
    assert control.version() == "0.1.0"
