"""The report of a log that the library wrote: it says what the statistics say, and the curve what the store did."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import actcache
from actcache.audit.log import AuditLog, LookupLine
from actcache.report.page import write_report
from actcache.report.rows import decode_keys

#: Rows of 2 KB in a store for some 90 of them, then for twice as many; a log in several files.
HOST = """
import json, sys
import numpy as np
import actcache

model, audit = sys.argv[1:]
actcache.configure(audit_path=audit, audit_max_bytes=1 << 17, audit_files=100)
actcache.configure(budget_bytes="200KiB", verify_fraction=0.02, bypass="off")
session = actcache.InferenceSession(model)
rng = np.random.default_rng(0)
shares = 1 / np.arange(1, 801) ** 0.8
rows = rng.standard_normal((800, 512)).astype(np.float32)
for call in range(1500):
    session.run(None, {"x": rows[rng.choice(800, 4, p=shares / shares.sum())]})
    if call == 750:
        actcache.configure(budget_bytes="400KiB")
actcache.configure(audit_path="")
print(json.dumps(actcache.stats()))
"""

WIDE = "wide (float[N, 512] x) => (float[N, 512] y) { a = MatMul(x, w)  b = Tanh(a)  y = MatMul(b, w) }"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {WIDE}')
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((512, 512)).astype(np.float32) / 512**0.5
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    folder = tmp_path_factory.mktemp("wide")
    onnx.save_model(model, folder / "wide.onnx")
    sample = {"x": rng.standard_normal((4, 512)).astype(np.float32)}
    return actcache.compile_model(folder / "wide.onnx", samples=[sample], min_saving=0).output


@pytest.fixture(scope="module")
def recorded(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A log, in several files, and the statistics of the process that wrote it."""
    audit = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", HOST, str(compiled), str(audit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return audit, json.loads(done.stdout)


def test_every_line_is_understood(recorded: tuple[Path, dict[str, Any]]) -> None:
    audit, _ = recorded
    with AuditLog(audit) as log:
        lookups = [event for event in log.events() if isinstance(event, LookupLine)]
        assert len(log.files) > 2
        assert (log.broken, log.unknown) == (0, 0)
    assert [lookup.call for lookup in lookups] == list(range(1, 1501))
    keys, keyed = decode_keys(lookups)
    assert keyed.all() and 700 < len(np.unique(keys)) <= 800


def test_sums_are_the_statistics(recorded: tuple[Path, dict[str, Any]], compiled: Path, tmp_path: Path) -> None:
    audit, stats = recorded
    facts = write_report(audit, tmp_path / "page.html", model=compiled)
    (counts,) = stats["regions"].values()
    (region,) = facts.regions
    assert (region.rows, region.reused) == (counts["lookups"], counts["hits"])
    assert region.outcomes["d"] == counts["duplicates"] and region.outcomes["v"] == counts["verified"] > 0
    assert region.results["s"] == counts["stored"] and region.results["r"] == counts["not_admitted"]
    assert region.results["="] == counts["verified"] and region.results["x"] == 0
    assert sum(region.evicted.values()) == counts["evicted"] > 0
    assert region.saved_seconds == pytest.approx(counts["saved_seconds"], rel=1e-3)
    assert region.computing_seconds == pytest.approx(counts["compute_seconds"], rel=1e-3)
    assert region.entry_bytes == 2048
    assert facts.budget == 400 << 10
    assert facts.notes() == []
    assert (tmp_path / "page.html").stat().st_size < 150_000


def test_the_curve_brackets_what_was_measured(recorded: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The budget was 200 KiB for one half and 400 KiB for the other; the model of the store is not the store."""
    audit, _ = recorded
    facts = write_report(audit, tmp_path / "page.html", budget_bytes=200 << 10)
    assert facts.curve is not None and facts.curve.rate == 1
    small, large = facts.curve.at(200 << 10), facts.curve.at(400 << 10)
    assert small is not None and large is not None
    assert small.reuse - 0.08 < facts.hit_ratio < large.reuse + 0.04
