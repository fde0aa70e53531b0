"""A region that does not pay switches itself off, and comes back when its rows begin to repeat."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hand_written import Control, Region, Tensor

import actcache
from models import Feed, feed

MODEL = "paraphrase_minilm_l3"
ROWS = 2
_SEEDS = itertools.count(10_000)


@pytest.fixture
def automatic() -> Iterator[None]:
    """The knob as users have it; tests have it off."""
    actcache.configure(bypass="auto")
    yield
    actcache.configure(bypass="off")


class Streams:
    """The compiled model beside the original, both given the same calls."""

    def __init__(self, model: Path, folder: Path) -> None:
        # Regions are named after their model's file: this one shares no counts with those of other tests.
        source, target = folder / "bypassed.onnx", folder / "compiled.onnx"
        shutil.copy(model, source)
        result = actcache.compile_model(source, target, samples=[feed(MODEL, ROWS, size=24)])
        self.region = result.regions[-1].candidate.region.id
        self.original = ort.InferenceSession(str(source), providers=["CPUExecutionProvider"])
        self.compiled = actcache.InferenceSession(target, providers=["CPUExecutionProvider"])

    def play(self, feeds: Iterator[Feed]) -> None:
        for given in feeds:
            expected = self.original.run(None, given)
            for mine, theirs in zip(self.compiled.run(None, given), expected, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)

    def statistics(self) -> dict[str, Any]:
        found: dict[str, Any] = actcache.stats()["regions"][self.region]
        assert found["lookups"] == found["hits"] + found["misses"] + found["bypassed"]
        return found


def fresh(calls: int) -> Iterator[Feed]:
    return (feed(MODEL, ROWS, seed=next(_SEEDS), size=24) for _ in range(calls))


@pytest.mark.usefixtures("automatic")
def test_bypassed_while_nothing_repeats_and_back_when_it_does(
    model_path: Callable[[str], Path], tmp_path: Path
) -> None:
    streams = Streams(model_path(MODEL), tmp_path)
    calls = 0
    while calls < 4096 and streams.statistics()["bypassed"] == 0:  # until it has lost what two hits save
        streams.play(fresh(32))
        calls += 32
    off = streams.statistics()
    assert (off["state"], off["bypass_reason"]) == ("bypassed", "overhead exceeds saving")
    assert off["lookups"] == calls * ROWS
    assert off["bypassed"] > 0 and off["misses"] == off["stored"] < calls * ROWS
    assert (off["bypass_switches"], off["probes"], off["hits"]) == (1, 0, 0)

    pool = list(fresh(4))
    streams.play(itertools.islice(itertools.cycle(pool), 100))
    back = streams.statistics()
    assert (back["state"], back["bypass_reason"], back["probes"]) == ("active", None, 1)
    assert back["lookups"] == (calls + 100) * ROWS
    assert back["hits"] > 50 * ROWS
    assert back["overhead_seconds"] >= back["hash_seconds"] + back["copy_seconds"] > 0


def where_a_hit_costs_more() -> Region:
    """A row of 1 MiB is hashed to save the copy of a single number."""
    body = "zero = Constant <value_int: int = 0> () y_m = Gather <axis: int = 1> (x_c, zero)"
    return Region([Tensor("x", shape="[N, 262144]")], [Tensor("y", shape="[N]")], body)


def bypassed(region: Region) -> tuple[ort.InferenceSession, np.ndarray]:
    """A session of that region that has made calls enough to find this out, and the last input."""
    model = region.session()
    x = np.zeros((1, 262144), np.float32)
    for i in range(40):
        x[0, 0] = i
        assert model.run(None, {"x": x})[0].tolist() == [i]
    return model, x


@pytest.mark.usefixtures("automatic")
def test_no_region_for_which_a_hit_costs_more(control: Control) -> None:
    region = where_a_hit_costs_more()
    bypassed(region)
    counts = control.stats(region)
    assert (counts["state"], counts["bypass_reason"]) == ("bypassed", "hit costs more than recomputing")
    assert counts["misses"] < 10 and counts["bypassed"] > 30


@pytest.mark.usefixtures("automatic")
def test_off_and_auto_again_between_two_calls_forgets_what_was_decided(control: Control) -> None:
    region = where_a_hit_costs_more()
    model, x = bypassed(region)
    before = control.stats(region)
    assert before["state"] == "bypassed"

    actcache.configure(bypass="auto")  # as it is
    model.run(None, {"x": x})
    assert control.stats(region)["misses"] == before["misses"]
    actcache.configure(bypass="off")
    actcache.configure(bypass="auto")
    assert model.run(None, {"x": x})[0].tolist() == [39]
    after = control.stats(region)
    assert (after["state"], after["misses"]) == ("active", before["misses"] + 1)
