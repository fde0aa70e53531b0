"""What crosses to the process that runs models arrives as the type that it left as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from actcache.base.per_call import PerCall
from actcache.base.typed_json import read_json, write_json
from actcache.passes.choice.dependent import Dependent
from actcache.passes.choice.trace_keys import Place
from actcache.passes.costs.cost import Costs
from actcache.passes.costs.time_model import FewRows
from actcache.passes.cuts import AnyDivision, PrefixDivision, RowDivision
from actcache.runs import requests
from actcache.runs.requests import BatchBits, Compiled, FixedBatch, Measurement, Originals, Played, RowCounts
from actcache.runs.worker import TASKS
from actcache.verification.verify import Verification

ORIGINALS = Originals("s.onnx", "m.onnx", "b.onnx", ["lib.so"], "", FixedBatch(2, {"x": 0}, [None, 1]))
COMPILED = Compiled(Path("c.onnx"), PerCall("tenant"))
COSTS = Costs((0.5, 0.25), 1.0, {"x": (2, 3)}, measured=True)
DIVISIONS: list[AnyDivision] = [RowDivision({"x": 0}), PrefixDivision({"x": 1}, {"x": 0})]
SAMPLES = [Path("a.npz"), Path("b.npz")]

REQUESTS: list[requests.Request[Any]] = [
    requests.AskTypes(ORIGINALS),
    requests.Measure(ORIGINALS, SAMPLES, timed=True),
    requests.Verify(
        ORIGINALS,
        COMPILED,
        SAMPLES,
        DIVISIONS,
        [["x"]],
        tolerance=float("inf"),
        exact=True,
    ),
    requests.FindBatchBits(ORIGINALS, SAMPLES[0], [{"x": 0}, {}]),
    requests.HashTrace(ORIGINALS, SAMPLES, SAMPLES[0], [Place("x"), Place("y", 1, 2)], [{"x": 0}], Path("k.npz")),
    requests.PlayTrace(ORIGINALS, COMPILED, SAMPLES, None, 1 << 40),
    requests.ComputeFrontiers("c.onnx", [Path("p.onnx")], [requests.FrontierCall("a", SAMPLES[0], SAMPLES[1])], []),
    requests.ReplayLog(
        ORIGINALS,
        COMPILED,
        SAMPLES,
        config={"budget_bytes": 1, "ttl_seconds": None},
        steps=[
            requests.LoggedCall([("r", "f", 1, 2, 3, 4, 0, "sf")], [("r", "f", 0, "disk", 1, 2, 0, 1)], None, "use"),
            requests.LoggedControlCall("pin", {"region": "r"}),
        ],
        audit="log.jsonl",
        record=Path("new.jsonl"),
        store=Path("store"),
        tolerance=1e-3,
    ),
    requests.FillStore(
        ORIGINALS,
        COMPILED,
        SAMPLES,
        [requests.LoggedCall([], [], "tenant", "use")],
        config={"hash": "blake3"},
        audit="log.jsonl",
        store=Path("store"),
    ),
]
ANSWERS: list[tuple[Any, Any]] = [
    (requests.Told, requests.Told({"y": 1}, infers=False)),
    (Measurement, Measurement(SAMPLES, "1.32.0", COSTS)),
    (Verification, Verification(cases=3, failure="differs", outputs=[{"output": 0}], region_bits={"r": True})),
    (BatchBits, BatchBits([Dependent("y", "Log 'l'", 2, 1e-7)], ["y"])),
    (list[FewRows], [FewRows({"x": 0}, 1, COSTS)]),
    (Played, Played(4, 1.0, 0.5, {"r": RowCounts(4, 1)}, 0.0, None)),
]


def test_every_request_has_a_task() -> None:
    assert {type(request) for request in REQUESTS} == TASKS.keys()


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_requests(request_: requests.Request[Any], tmp_path: Path) -> None:
    write_json(tmp_path / "request.json", request_)
    arrived = read_json(tmp_path / "request.json", requests.AnyRequest)
    assert arrived == request_
    assert arrived.source in ("s.onnx", "c.onnx")


@pytest.mark.parametrize(("kind", "answer"), ANSWERS, ids=lambda part: getattr(part, "__name__", ""))
def test_answers(kind: Any, answer: Any, tmp_path: Path) -> None:
    assert kind in [type(request).answer for request in REQUESTS]
    write_json(tmp_path / "answer.json", answer)
    assert read_json(tmp_path / "answer.json", kind) == answer


def test_a_difference_may_be_infinite_and_a_number_may_be_numpys(tmp_path: Path) -> None:
    write_json(tmp_path / "answer.json", Verification(max_abs_error=np.float32("inf"), cases=np.int64(2)))
    assert read_json(tmp_path / "answer.json", Verification) == Verification(max_abs_error=float("inf"), cases=2)


@pytest.mark.parametrize(
    "wrong", [{}, {"type": "Measure"}, {"type": "Guess"}, [], {"type": "AskTypes", "originals": 3}]
)
def test_what_is_no_request_is_refused(wrong: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "request.json", wrong)
    with pytest.raises(msgspec.ValidationError):
        read_json(tmp_path / "request.json", requests.AnyRequest)


def test_only_values_that_json_can_hold_are_written(tmp_path: Path) -> None:
    with pytest.raises((TypeError, NotImplementedError)):
        write_json(tmp_path / "answer.json", object())
    assert not list(tmp_path.iterdir())
