"""Where something is missing, large results that were found are copied once, by CacheStore in the branch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from audit_lines import Line, agrees_with_statistics, of
from hand_written import Array, Control, Region, Tensor, session
from recurrent_models import WORDS, Recurrent, compiled, recurrent_model, words
from sequences import Counts, options

import actcache

#: Floats of a row: 64 KiB.
WIDTH = 1 << 14


def wide(fetches: bool = True, factor: str = "one", inputs: tuple[Tensor, ...] = ()) -> Region:
    """Two results, one of them of another type. They are multiplied by a tensor `factor` of one number."""
    nodes = "one = Constant <value = float[1] {1}> () squares = Mul(x_c, x_c)"
    body = f"{nodes} {factor} y_m = Mul(squares, factor) z_m = Cast<to = 7>(x_c)"
    own = [Tensor("x", shape=f"[N, {WIDTH}]")]
    results = [Tensor("y", shape=f"[N, {WIDTH}]"), Tensor("z", "int64", f"[N, {WIDTH}]")]
    return Region(own, results, body, inputs=[*own, *inputs], fetches=fetches)


def rows(*seeds: int) -> Array:
    return np.stack([np.random.default_rng(seed).standard_normal(WIDTH, np.float32) * 9 for seed in seeds])


def check(outputs: list[Array], x: Array) -> None:
    assert np.array_equal(outputs[0], x * x)
    assert np.array_equal(outputs[1], x.astype(np.int64))


def shown(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """The model with tensors of its main graph as outputs, too."""
    types = {value.name: value for value in model.graph.value_info}
    model.graph.output.extend(types[name] for name in names)
    return model


@pytest.mark.parametrize(("fetches", "copied"), [(True, 0), (False, 2)], ids=["fetched", "as an older model has it"])
def test_rows_that_are_known_are_copied_once(
    control: Control, audited: Callable[[], list[Line]], fetches: bool, copied: int
) -> None:
    region = wide(fetches, "factor = Identity(one)")
    running = session(shown(region.proto(), "y_k", "z_k"), threads=2)
    for seeds in ((1, 2), (2, 3, 1, 4), (5, 3, 5, 5, 1)):
        x = rows(*seeds)
        *outputs, y_k, z_k = running.run(None, {"x": x})
        check(outputs, x)
        assert len(y_k) == len(z_k) == (0 if seeds == (1, 2) else copied)
    lines = audited()
    lookups, stores = of(lines, "lookup", region), of(lines, "store", region)
    assert [line["bytes"] for line in lookups] == [0, 6 * WIDTH * 4, 6 * WIDTH * 4]  # of two rows each
    assert [line["outcomes"] for line in stores] == ["ss", "ss", "s"]
    assert of(lines, "copy", region) == []  # it is a part of what the store does
    agrees_with_statistics(lines, region, control.stats(region), {})


def test_outputs_bound_by_the_host(control: Control) -> None:
    region = wide(factor="factor = Identity(one)")
    running = region.session()
    running.run(None, {"x": rows(1, 2)})
    for new in (3, 4):
        x = rows(2, new, 1)
        y, z = np.zeros_like(x), np.zeros(x.shape, np.int64)
        binding = running.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", "cpu", 0, np.float32, x.shape, y.ctypes.data)
        binding.bind_output("z", "cpu", 0, np.int64, x.shape, z.ctypes.data)
        running.run_with_iobinding(binding)
        check([y, z], x)
    assert control.counts(region, "hits", "misses") == (4, 4)


def stops() -> Region:
    """A run with another size `s` than 1 fails while the region is computed."""
    return wide(factor="factor = Reshape(one, s)", inputs=(Tensor("s", "int64", "[k]"),))


def give_up(running: ort.InferenceSession, x: Array) -> None:
    with pytest.raises(Exception, match=r"[Rr]eshape"):
        running.run(None, {"x": x, "s": np.array([2])})


def test_a_run_that_fails_in_the_region_holds_nothing_for_long(control: Control) -> None:
    control.invalidate()
    running, known = stops().session(), rows(1, 2, 3)
    check(running.run(None, {"x": known, "s": np.array([1])}), known)
    for new in (4, 5, 6):
        give_up(running, rows(1, 2, 3, new))
    control.invalidate()
    assert control.store()["bytes"] >= 3 * known.nbytes  # held, and counted

    def call(number: int) -> None:
        x = rows(1, 2, 3, 100 + number)
        check(running.run(None, {"x": x, "s": np.array([1])}), x)

    assert control.is_emptied_by(call)


def test_a_run_that_fails_in_the_region_holds_nothing_where_the_library_is_told(control: Control) -> None:
    control.invalidate()
    running, known = actcache.InferenceSession(stops().proto().SerializeToString()), rows(1, 2, 3)
    check(running.run(None, {"x": known, "s": np.array([1])}), known)
    for new in (4, 5, 6):
        give_up(running, rows(1, 2, 3, new))
    control.invalidate()
    assert control.store()["bytes"] == 0


def test_a_session_that_ends_holds_nothing(control: Control) -> None:
    control.invalidate()
    running, known = stops().session(), rows(1, 2, 3)
    running.run(None, {"x": known, "s": np.array([1])})
    give_up(running, rows(1, 2, 3, 4))
    control.invalidate()
    assert control.store()["bytes"] >= 3 * known.nbytes
    del running
    assert control.store()["bytes"] == 0


#: Positions of a call whose logits take 64 KiB or more.
LONG = 300


@pytest.fixture(scope="module")
def lstm(tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    return compiled(recurrent_model(), tmp_path_factory.mktemp("lstm"), verify=False)


def test_results_of_known_positions_are_copied_once(lstm: Recurrent, tmp_path: Path) -> None:
    """As by the branch that computes what is appended, so by that of hits."""
    (region,) = lstm.result.regions
    cached = f"logits@{region.candidate.region.id}.cached"
    file = tmp_path / "shown.onnx"
    onnx.save(shown(onnx.load(lstm.result.output), cached), file)
    made = options()
    made.register_custom_ops_library(actcache.library_path())
    running = ort.InferenceSession(file, made, providers=["CPUExecutionProvider"])
    plain, ids = lstm.plain(), words(2, LONG + 4)

    def call(given: Array) -> tuple[Counts, int]:
        """What was found, and how many positions of it the lookup has copied."""
        (logits, known), counts = lstm.counted(running, {"ids": given})
        np.testing.assert_allclose(logits, plain.run(None, {"ids": given})[0], rtol=0, atol=1e-5)
        assert known.shape[::2] == (2, WORDS)
        return counts, known.shape[1]

    assert call(ids[:, :LONG]) == (Counts(0, 2 * LONG), 0)
    assert call(ids) == (Counts(2 * (LONG - 1), 2 * 5), 0)
    assert call(ids) == (Counts(2 * (LONG + 4), 0), 0)
    assert call(ids[:, :10]) == (Counts(2 * 10, 0), 10), "few are copied by the lookup"
    assert call(np.concatenate([ids[:, :10], words(2, 3, seed=1)], 1))[0].misses > 0
