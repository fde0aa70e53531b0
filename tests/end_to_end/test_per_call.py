"""Namespace, control word and account of single calls: real models in plain onnxruntime."""

# mypy: no-warn-return-any
from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import composed
import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from hand_written import Region, Tensor, session
from region_counts import counts_of

import actcache
from actcache.base.per_call import ACCOUNT, CONTROL, NAMESPACE, PerCall
from actcache.passes.rewrite.per_call import add_per_call
from models import Feed, feed
from models.fetch import fetch

ALL: dict[str, Any] = {"namespace_input": NAMESPACE, "control_input": CONTROL, "account_output": ACCOUNT}
TOLERANCE = 1e-4
_SEEDS = itertools.count(1000)
Rows = list[list[int]]


def opened(path: Path, **entries: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for name, value in entries.items():
        options.add_session_config_entry(f"actcache.{name}", value)
    options.register_custom_ops_library(actcache.library_path())
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def said(namespace: str | None = None, control: str | None = None) -> Feed:
    words = {NAMESPACE: namespace, CONTROL: control}
    return {name: np.array(word, object) for name, word in words.items() if word is not None}


class Model:
    """A catalogue model, and what is compiled of it with all that a call may say."""

    def __init__(self, name: str, folder: Path, size: dict[str, int]) -> None:
        self.name, self.size = name, size
        self.result = actcache.compile_model(fetch(name), folder / "out.onnx", samples=[self.fresh(3)], **ALL)
        self.original = ort.InferenceSession(str(fetch(name)), providers=["CPUExecutionProvider"])
        self.session = opened(self.result.output)

    def fresh(self, rows: int) -> Feed:
        return feed(self.name, rows, seed=next(_SEEDS), **self.size)

    def account(
        self,
        given: Feed,
        namespace: str = "tenant",
        control: str | None = None,
        within: ort.InferenceSession | None = None,
    ) -> Rows:
        """Run a call; its outputs are the original's, and its account is what the statistics have counted."""
        before = self._counts()
        *outputs, account = (within or self.session).run(None, {**given, **said(namespace, control)})
        after = self._counts()
        for mine, original in zip(outputs, self.original.run(None, given), strict=True):
            assert mine.shape == original.shape and mine.dtype == original.dtype
            scale = max(1.0, float(np.abs(original).max(initial=0.0)))
            assert float(np.abs(mine - original).max(initial=0.0)) <= TOLERANCE * scale
        assert account.dtype == np.int64
        assert account.tolist() == [[now - then for now, then in zip(after, before, strict=True)]]
        return account.tolist()

    def _counts(self) -> list[int]:
        found = counts_of(self.result.regions[0])
        return [found.get(name, 0) for name in ("hits", "misses", "bypassed")]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model("paraphrase_minilm_l3", tmp_path_factory.mktemp("texts"), {"size": 24})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model("flan_t5_small_enc_int8", tmp_path_factory.mktemp("whole"), {"size": 24})


def take(given: Feed, rows: list[int]) -> Feed:
    return {name: array[rows] for name, array in given.items()}


# -- namespaces ---------------------------------------------------------------------------------------

#: The empty one, plain ones of which one is another's beginning, scripts beyond ASCII, and the longest.
NAMESPACES = ["", "a", "ab", "Straße 7", "名前空間", "n" * 256]


def test_a_namespace_hits_its_own_entries_and_no_other(texts: Model) -> None:
    batch, other = texts.fresh(2), opened(texts.result.output)
    for namespace in NAMESPACES:
        assert texts.account(batch, namespace) == [[0, 2, 0]]
    assert texts.account(batch, NAMESPACES[0], within=other) == [[0, 2, 0]]  # compared, as another session made them
    for namespace in reversed(NAMESPACES):  # interleaved, and from another session too
        assert texts.account(batch, namespace) == [[2, 0, 0]]
        assert texts.account(batch, namespace, within=other) == [[2, 0, 0]]
    assert texts.account(batch, "A") == [[0, 2, 0]]


def test_a_namespace_that_is_too_long_is_not_cached(texts: Model) -> None:
    batch = texts.fresh(2)
    for _ in range(2):
        assert texts.account(batch, "n" * 257) == [[0, 0, 2]]


def test_the_namespace_of_a_call_never_meets_one_of_a_session(texts: Model, tmp_path: Path) -> None:
    plain = actcache.compile_model(fetch(texts.name), tmp_path / "plain.onnx", samples=[texts.fresh(3)])
    assert plain.regions[0].fingerprint == texts.result.regions[0].fingerprint
    batch = texts.fresh(2)
    without = opened(plain.output, namespace="x")
    without.run(None, batch)
    in_x, in_y = opened(texts.result.output, namespace="x"), opened(texts.result.output, namespace="y")
    for within, namespace in [(None, "x"), (in_x, ""), (in_x, "y"), (in_y, "x"), (in_x, "x"), (in_y, "y")]:
        assert texts.account(batch, namespace, within=within) == [[0, 2, 0]]
    for within, namespace in [(None, "x"), (in_x, ""), (in_x, "y"), (in_y, "x"), (in_x, "x"), (in_y, "y")]:
        assert texts.account(batch, namespace, within=within) == [[2, 0, 0]]
    assert actcache.invalidate(namespace="x") >= 2 * 4  # of the session without calls' namespaces, and of three calls
    assert texts.account(batch, "x") == [[0, 2, 0]]
    assert texts.account(batch, "y", within=in_x) == [[2, 0, 0]]


def test_a_call_without_a_namespace_fails(texts: Model) -> None:
    batch = texts.fresh(2)
    with pytest.raises(ValueError, match=NAMESPACE):
        texts.session.run(None, batch)
    binding = texts.session.io_binding()  # which does not look for what is missing
    for name, array in batch.items():
        binding.bind_cpu_input(name, array)
    for value in texts.session.get_outputs():
        binding.bind_output(value.name)
    with pytest.raises(Exception, match="the namespace input was not fed"):
        texts.session.run_with_iobinding(binding)
    assert texts.account(batch) == [[0, 2, 0]]


# -- control words ------------------------------------------------------------------------------------


def test_bypass_neither_finds_nor_leaves_anything(texts: Model) -> None:
    batch = texts.fresh(2)
    entries = actcache.stats()["store"]["entries"]
    assert texts.account(batch, control="bypass") == [[0, 0, 2]]
    assert actcache.stats()["store"]["entries"] == entries
    assert texts.account(batch, control="use") == [[0, 2, 0]]
    assert texts.account(batch, control="bypass") == [[0, 0, 2]]
    assert texts.account(batch) == [[2, 0, 0]]  # `use` is the default


def test_refresh_computes_and_stores(texts: Model) -> None:
    batch = texts.fresh(3)
    assert texts.account(take(batch, [0, 1]), control="refresh") == [[0, 2, 0]]
    entries = actcache.stats()["store"]["entries"]
    assert texts.account(take(batch, [0, 1, 0, 2]), control="refresh") == [[1, 3, 0]]
    assert actcache.stats()["store"]["entries"] == entries + 1
    assert texts.account(batch, control="use") == [[3, 0, 0]]


@pytest.mark.parametrize("word", ["", "Use", "refresh ", "no-cache"])
def test_another_word_fails_the_run_and_names_the_three(texts: Model, word: str) -> None:
    batch = texts.fresh(1)
    with pytest.raises(
        Exception, match='control input says "' + word + '", but has to be "use", "bypass" or "refresh"'
    ):
        texts.session.run(None, {**batch, **said("tenant", word)})
    assert texts.account(batch) == [[0, 1, 0]]


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_refresh_takes_the_place_of_what_is_there(granularity: str) -> None:
    """With a region that gives another answer each time it is computed, which the compiler would never cache."""
    read = "x_c" if granularity == "row" else "x"
    region = Region([Tensor("x")], [Tensor("y")], f"y_m = RandomUniformLike({read})", granularity)
    proto = region.proto()
    add_per_call(proto, PerCall(NAMESPACE, CONTROL, ACCOUNT), [region.id])
    model = session(proto)
    x = np.ones((1, 3), np.float32)

    def answer(control: str, namespace: str = "a") -> list[float]:
        return model.run(["y"], {"x": x, **said(namespace, control)})[0].tolist()[0]

    first = answer("use")
    assert answer("use") == first
    assert answer("bypass") != first
    assert answer("use") == first
    other = answer("use", "b")
    second = answer("refresh")
    assert second != first
    assert answer("use") == second
    assert answer("use", "b") == other


# -- the account --------------------------------------------------------------------------------------


def test_the_account_of_every_state_of_the_cache(texts: Model) -> None:
    batch = texts.fresh(4)
    assert texts.account(take(batch, [0, 1])) == [[0, 2, 0]]
    assert texts.account(take(batch, [0, 1])) == [[2, 0, 0]]
    assert texts.account(take(batch, [2, 1, 3])) == [[1, 2, 0]]
    new = texts.fresh(2)
    assert texts.account(take(new, [0, 1, 0, 0])) == [[2, 2, 0]]  # equal rows are computed once
    actcache.invalidate()
    actcache.configure(budget_bytes=0)
    try:
        assert texts.account(batch) == [[0, 0, 4]]
    finally:
        actcache.configure(budget_bytes=256 << 20)


def test_the_account_of_no_rows(tmp_path: Path) -> None:
    model = Model("open_nsfw_resnet", tmp_path, {})
    empty = {name: array[:0] for name, array in model.fresh(1).items()}
    assert model.account(empty) == [[0, 0, 0]]
    assert model.account(empty, control="refresh") == [[0, 0, 0]]


def test_whole_calls_count_as_one_row(whole: Model) -> None:
    batch = whole.fresh(3)
    assert whole.account(batch, "a") == [[0, 1, 0]]
    assert whole.account(batch, "b") == [[0, 1, 0]]
    assert whole.account(batch, "a") == [[1, 0, 0]]
    assert whole.account(batch, "a", "bypass") == [[0, 0, 1]]
    assert whole.account(batch, "a", "refresh") == [[0, 1, 0]]
    assert whole.account(batch, "a") == [[1, 0, 0]]


def test_every_tower_has_a_row_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "towers.onnx"
    onnx.save(composed.two_towers(fetch("paraphrase_minilm_l3"), fetch("minilm_l6_int8")), path)

    def call(query: int, candidate: int) -> Feed:
        one, two = (
            feed("paraphrase_minilm_l3", 3, seed=query, size=24),
            feed("minilm_l6_int8", 4, seed=candidate, size=24),
        )
        return {**{f"q_{n}": a for n, a in one.items()}, **{f"c_{n}": a for n, a in two.items()}}

    result = actcache.compile_model(path, tmp_path / "out.onnx", samples=[call(1, 2)], **ALL)
    names = ["q" if any(n.startswith("q_") for n in r.candidate.cone) else "c" for r in result.regions]
    assert sorted(names) == ["c", "q"]
    model = opened(result.output)

    def account(given: Feed, **say: str) -> Mapping[str, list[int]]:
        return dict(zip(names, model.run([ACCOUNT], {**given, **said(**say)})[0].tolist(), strict=True))

    assert account(call(3, 4), namespace="a") == {"q": [0, 3, 0], "c": [0, 4, 0]}
    assert account(call(5, 4), namespace="a") == {"q": [0, 3, 0], "c": [4, 0, 0]}
    assert account(call(3, 6), namespace="a") == {"q": [3, 0, 0], "c": [0, 4, 0]}
    assert account(call(3, 4), namespace="b") == {"q": [0, 3, 0], "c": [0, 4, 0]}
    assert account(call(3, 4), namespace="a", control="bypass") == {"q": [0, 0, 3], "c": [0, 0, 4]}


def nested(folder: Path) -> Path:
    """``a`` goes through an encoder of its own, then together with ``b`` through another one: a region in a region."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> nested (float[N, 256] a, float[N, 256] b) => (float[N, 256] y) {
             a0 = MatMul(a, w0) a1 = Tanh(a0) a2 = MatMul(a1, w1) a3 = Tanh(a2)
             s = Add(a3, b) b0 = MatMul(s, w2) b1 = Tanh(b0) b2 = MatMul(b1, w3) y = Tanh(b2)
           }"""
    )
    generator = np.random.default_rng(0)
    for name in ("w0", "w1", "w2", "w3"):
        weight = generator.standard_normal((256, 256)).astype(np.float32) / 16
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(model, folder / "nested.onnx")
    return folder / "nested.onnx"


def test_a_region_inside_another_is_not_asked_where_that_hits(tmp_path: Path) -> None:
    source = nested(tmp_path)
    generator = np.random.default_rng(1)

    def rows(count: int) -> np.ndarray:
        return generator.standard_normal((count, 256)).astype(np.float32)

    result = actcache.compile_model(
        source, tmp_path / "out.onnx", samples=[{"a": rows(8), "b": rows(8)}], min_saving=0, **ALL
    )
    assert [set(region.candidate.cone) for region in result.regions] == [{"a"}, {"a", "b"}]
    assert [node.op_type for node in onnx.load(result.output).graph.node] == ["CacheLookup", "If", "Concat"]
    model, original = opened(result.output), ort.InferenceSession(str(source))

    def account(a: np.ndarray, b: np.ndarray, control: str = "use") -> Rows:
        y, found = model.run(None, {"a": a, "b": b, **said("nested", control)})
        assert np.allclose(y, original.run(None, {"a": a, "b": b})[0], atol=1e-4)
        return found.tolist()

    a, b = rows(4), rows(4)
    assert account(a, b) == [[0, 4, 0], [0, 4, 0]]
    assert account(a, b) == [[0, 0, 0], [4, 0, 0]]
    assert account(a, rows(4)) == [[4, 0, 0], [0, 4, 0]]
    two = np.concatenate([b[:2], rows(2)])
    assert account(a, two) == [[2, 0, 0], [2, 2, 0]]  # the inner one sees the rows that the outer one lacks
    assert account(a, b, "bypass") == [[0, 0, 4], [0, 0, 4]]
    assert account(a, b, "refresh") == [[0, 4, 0], [0, 4, 0]]
    assert account(a, b) == [[0, 0, 0], [4, 0, 0]]


# -- with the rest of the compiler --------------------------------------------------------------------


def test_a_batch_of_one_size_is_made_variable_with_them(tmp_path: Path) -> None:
    proto = onnx.load(nested(tmp_path))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(proto, tmp_path / "fixed.onnx")
    result = actcache.compile_model(
        tmp_path / "fixed.onnx", tmp_path / "out.onnx", dynamic_batch=True, min_saving=0, granularity="row", **ALL
    )
    assert any("made variable" in note for note in result.notes)
    assert any(NAMESPACE in note for note in result.notes)
    x = {name: np.random.default_rng(2).standard_normal((3, 256)).astype(np.float32) for name in "ab"}
    assert opened(result.output).run([ACCOUNT], {**x, **said("fixed")})[0][-1].tolist() == [0, 3, 0]


def test_compiling_again_takes_them_away_or_gives_them_other_names(texts: Model, tmp_path: Path) -> None:
    before = [value.name for value in texts.original.get_inputs()]
    plain = opened(
        actcache.compile_model(texts.result.output, tmp_path / "plain.onnx", samples=[texts.fresh(3)]).output
    )
    assert [value.name for value in plain.get_inputs()] == before
    assert plain.get_overridable_initializers() == []
    assert [v.name for v in plain.get_outputs()] == [v.name for v in texts.original.get_outputs()]
    renamed = opened(
        actcache.compile_model(
            texts.result.output, tmp_path / "renamed.onnx", samples=[texts.fresh(3)], namespace_input="tenant"
        ).output
    )
    assert [value.name for value in renamed.get_inputs()] == [*before, "tenant"]


def test_recorded_calls_hold_the_models_own_inputs_and_are_a_trace(tmp_path: Path) -> None:
    source = nested(tmp_path)
    generator = np.random.default_rng(3)
    a, b = (generator.standard_normal((6, 64, 256)).astype(np.float32) for _ in "ab")
    first = actcache.compile_model(source, tmp_path / "first.onnx", min_saving=0, **ALL)
    recorded = actcache.record(opened(first.output), tmp_path / "calls")
    for number in range(12):
        recorded.run(None, {"a": a[number % 2], "b": b[number % 6], **said("t", "use")})
    assert recorded.recorded == 12
    with np.load(tmp_path / "calls" / "call-000000.npz") as call:
        assert sorted(call.files) == ["a", "b"]
    result = actcache.compile_model(source, tmp_path / "out.onnx", trace=[tmp_path / "calls"], min_saving=0, **ALL)
    assert result.trace is not None and result.trace.played == 6
    model = opened(result.output)
    rows = [model.run([ACCOUNT], {"a": a[0], "b": b[0], **said("t2")})[0].sum(1).tolist() for _ in range(1)]
    assert rows == [[64] * len(result.regions)]
