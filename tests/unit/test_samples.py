"""Samples: reading and checking given ones, making some up, on small graphs and on real models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

from actcache import InvalidSamples
from actcache.model.samples import Feed, check_sample, load_sample, make_samples, model_inputs


def parse(graph: str, opset: int = 17) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {graph}')


def runner(model: onnx.ModelProto) -> Callable[[Feed], object]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)


TWO_INPUTS = parse(
    """g (int64[N, 3] ids, string[N] texts, float[1] scale) => (int64[N, 3] y, string[N] t)
       <float[1] scale = {1.0}> { y = Identity(ids)  t = Identity(texts) }"""
)


# -- given samples -----------------------------------------------------------------------------------


def test_loads_what_numpy_saved(tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    np.savez(file, ids=np.arange(6).reshape(2, 3), texts=np.array(["a", "äö"]))
    feed = load_sample(file, model_inputs(TWO_INPUTS))
    assert feed["ids"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert feed["texts"].dtype == object
    assert runner(TWO_INPUTS)(feed)


def test_names_with_slashes_and_colons_survive(tmp_path: Path) -> None:
    model = parse("g (float[N] x) => (float[N] y) { y = Identity(x) }")
    model.graph.input[0].name = model.graph.node[0].input[0] = "/in/x:0"
    file = tmp_path / "s.npz"
    np.savez(file, **{"/in/x:0": np.ones(2, np.float32)})  # type: ignore[arg-type]
    assert load_sample(file, model_inputs(model)).keys() == {"/in/x:0"}


IDS, TEXTS = np.zeros((2, 3), np.int64), np.array(["a", "b"])


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"ids": IDS, "texts": TEXTS, "extra": IDS}, "'extra': the model has no such input; its inputs are ids"),
        ({"ids": IDS}, "'texts': this input is missing"),
        ({"ids": IDS.astype(np.int32), "texts": TEXTS}, "'ids': the sample holds int32, the model takes int64"),
        ({"ids": IDS, "texts": IDS}, "'texts': the sample holds int64, the model takes string"),
        ({"ids": IDS[0], "texts": TEXTS}, r"'ids': the sample has shape \[3\], the model takes int64\[N, 3\]"),
        ({"ids": IDS[:, :2], "texts": TEXTS}, r"'ids': the sample has shape \[2, 2\], the model takes int64\[N, 3\]"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_by_file_and_tensor(tmp_path: Path, arrays: Feed, says: str) -> None:
    file = tmp_path / "s.npz"
    np.savez(file, **arrays)
    with pytest.raises(InvalidSamples, match=says) as raised:
        load_sample(file, model_inputs(TWO_INPUTS))
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


def write_pickled(file: Path) -> None:
    np.savez(file, ids=IDS, texts=np.array(["a", None], dtype=object))


def write_array(file: Path) -> None:
    with file.open("wb") as opened:
        np.save(opened, IDS)


def write_truncated(file: Path) -> None:
    np.savez(file, ids=IDS)
    file.write_bytes(file.read_bytes()[:100])


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda file: None, "cannot be read: No such file"),
        (lambda file: file.mkdir(), "cannot be read: Is a directory"),
        (lambda file: file.write_bytes(b""), "not an .npz file"),
        (lambda file: file.write_bytes(b"PK\x03\x04nonsense"), "not an .npz file"),
        (lambda file: file.write_text("ids: 1"), "not an .npz file"),
        (write_truncated, "not an .npz file"),
        (write_array, "a single array"),
        (write_pickled, "'texts': Python objects are not read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, write: Callable[[Path], object], says: str) -> None:
    file = tmp_path / "s.npz"
    write(file)
    with pytest.raises(InvalidSamples, match=says):
        load_sample(file, model_inputs(TWO_INPUTS))


def test_inputs_with_a_default_may_be_left_out_or_given() -> None:
    inputs = model_inputs(TWO_INPUTS)
    assert "scale" not in check_sample({"ids": IDS, "texts": TEXTS}, inputs, "samples[0]")
    with pytest.raises(InvalidSamples, match=r"samples\[0\]: 'scale'"):
        check_sample({"ids": IDS, "texts": TEXTS, "scale": TEXTS}, inputs, "samples[0]")


# -- made-up samples ---------------------------------------------------------------------------------


def made(graph: str, **options: int) -> Feed:
    model = parse(graph)
    return make_samples(model, runner(model), **options)[0]


def test_same_seed_same_samples_and_samples_differ() -> None:
    model = parse("g (float[N, S] x) => (float[N, S] y) { y = Identity(x) }")
    first, second = make_samples(model, runner(model), seed=3)
    again = make_samples(model, runner(model), seed=3)
    assert np.array_equal(first["x"], again[0]["x"])
    assert not np.array_equal(first["x"], second["x"])
    assert first["x"].shape == second["x"].shape == (4, 64)


def test_indices_stay_inside_their_table() -> None:
    feed = made(
        """g (int64[N, S] ids, int32[N] kind) => (float[N, S, 1] y, float[N, 1] z)
           <float[7, 1] table = {0,1,2,3,4,5,6}, float[2, 1] kinds = {0, 1}, int64 offset = {2}>
           { moved = Add(ids, offset)  y = Gather(table, moved)  z = Gather(kinds, kind) }"""
    )
    assert feed["ids"].min() >= 0
    assert feed["ids"].max() == 4
    assert set(feed["kind"].tolist()) <= {0, 1}


def test_one_hot_by_comparison_bounds_the_values() -> None:
    feed = made(
        """g (int32[N, 8] bytes) => (bool[N, 8, 4] y)
           <int32[1, 1, 4] numbers = {0, 1, 2, 3}, int64[1] last = {2}>
           { wide = Unsqueeze(bytes, last)  y = Equal(wide, numbers) }"""
    )
    assert feed["bytes"].min() >= 0
    assert feed["bytes"].max() <= 3


def test_masks_are_ones_then_zeros() -> None:
    mask = made(
        """g (int64[N, S] mask) => (float[N, S] y)
           <float one = {1}> { f = Cast<to = 1>(mask)  y = Sub(one, f) }"""
    )["mask"]
    assert set(np.unique(mask)) <= {0, 1}
    assert (np.diff(mask, axis=1) <= 0).all()
    assert (mask.sum(axis=1) >= mask.shape[1] // 2).all()


def test_a_scalar_takes_the_value_it_is_compared_with() -> None:
    feed = made(
        """g (float[N] x, int64 rate) => (float[N] y)
           <int64 wide = {16000}> {
             c = Equal(rate, wide)
             y = If (c) <then_branch = t () => (float[N] a) { a = Neg(x) },
                         else_branch = e () => (float[N] b) { b = Abs(x) }>
           }"""
    )
    assert feed["rate"].shape == ()
    assert feed["rate"] == 16000


def test_equal_names_have_equal_sizes_and_state_has_the_batch_on_axis_1() -> None:
    model = parse("g (float[N, S] x, float[2, S, N] w, float[2, M, 3] h) => (float[2, N, N] y) { y = MatMul(x, w) }")
    model.graph.input[2].type.tensor_type.shape.dim[1].ClearField("dim_param")
    feed = make_samples(model, runner(model), rows=5)[0]
    assert feed["x"].shape == (5, 64)
    assert feed["w"].shape == (2, 64, 5)
    assert feed["h"].shape == (2, 5, 3)


def test_sizes_are_tried_until_the_model_accepts() -> None:
    ones = ", ".join(["1"] * 56)
    feed = made(
        f"""g (float[N, S, T] x) => (float[M, 1] y)
            <int64[2] shape = {{-1, 56}}, float[56, 1] w = {{{ones}}}> {{ r = Reshape(x, shape)  y = MatMul(r, w) }}""",
        rows=1,
    )
    assert feed["x"].size % 56 == 0


WEIGHTS = ", ".join(["0.5"] * 30)
MEETS_WEIGHTS = {
    "a matrix": (f"<float[10, 3] w = {{{WEIGHTS}}}> {{ y = MatMul(x, w) }}", (10,)),
    "a matrix, turned": (f"<float[3, 10] w = {{{WEIGHTS}}}> {{ y = Gemm<transB = 1>(x, w) }}", (10,)),
    "a recurrent net": (
        f"<float[1, 3, 10] w = {{{WEIGHTS}}}, float[1, 3, 1] r = {{1, 1, 1}}, int64[1] one = {{1}}> "
        "{ s = Unsqueeze(x, one)  y = GRU<hidden_size = 1>(s, w, r) }",
        (10,),
    ),
    "a constant": (f"<float[10, 3] w = {{{WEIGHTS}}}> {{ z = Relu(x)  y = Sub(z, w) }}", (10, 3)),
}


@pytest.mark.parametrize("meets", MEETS_WEIGHTS)
def test_sizes_are_those_of_the_weights_that_an_input_meets(meets: str) -> None:
    """10 is none of the sizes that are tried without a reason."""
    text, ends = MEETS_WEIGHTS[meets]
    axes = ", ".join("STU"[: len(ends)])
    model = parse(f"g (float[N, {axes}] x) => (float[?] y) {text}")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert make_samples(model, runner(model))[0]["x"].shape == (4, *ends)


def test_frames_along_the_first_axis_are_more_than_a_batch_has() -> None:
    ones = ", ".join(["1"] * 9)
    feed = made(
        f"""g (float[T, F] x) => (float[1, 1, M, F] y) <float[1, 1, 9, 1] w = {{{ones}}}, int64[2] two = {{0, 1}}>
            {{ p = Unsqueeze(x, two)  y = Conv(p, w) }}"""
    )
    assert feed["x"].shape[0] == 64


@pytest.mark.parametrize("axes", ["N, A, B", "N, A, B, C", "N, 5000, A, B", "N, 3, 400, 400"])
def test_sizes_that_multiply_to_more_than_memory_are_not_tried(axes: str) -> None:
    model = parse(f"g (float[{axes}] x) => (float[{axes}] y) {{ y = Identity(x) }}")
    tried: list[int] = []

    def refuse(feed: Feed) -> None:
        tried.append(feed["x"].size)
        raise RuntimeError("no such luck")

    with pytest.raises(InvalidSamples, match="no such luck"):
        make_samples(model, refuse)
    assert tried and max(tried) <= 1 << 23


def test_sizes_that_a_model_declares_are_tried_however_large() -> None:
    """An input of 36 MB, which no smaller one can stand for."""
    model = parse("g (uint8[6000, 6000] x) => (uint8[6000, 6000] y) { y = Identity(x) }")
    assert make_samples(model, runner(model), count=1)[0]["x"].shape == (6000, 6000)


def test_a_model_that_takes_single_rows_only() -> None:
    feed = made("g (float[N, 4] x) => (float[4] y) <int64[1] shape = {4}> { y = Reshape(x, shape) }")
    assert feed["x"].shape == (1, 4)


def test_values_with_finite_outputs_are_preferred() -> None:
    feed = made("g (float[N, 3] x) => (float[N, 3] y) { y = Log(x) }")
    assert (feed["x"] > 0).all()


def test_outputs_that_are_never_finite_are_accepted() -> None:
    feed = made("g (float[N, 3] x) => (float[N, 3] y) <float zero = {0}> { z = Mul(x, zero)  y = Log(z) }")
    assert feed["x"].shape == (4, 3)


@pytest.mark.parametrize("kind", ["uint8", "int8", "float16", "double", "bool", "string", "uint64", "int16"])
def test_every_type_and_differing_rows(kind: str) -> None:
    array = made(f"g ({kind}[N, 32] x) => ({kind}[N, 32] y) {{ y = Identity(x) }}")["x"]
    assert array.shape == (4, 32)
    assert len({tuple(row) for row in array.tolist()}) == 4


@pytest.mark.parametrize("kind", ["float", "int64", "string"])
def test_rows_of_one_value_differ_as_well(kind: str) -> None:
    array = made(f"g ({kind}[N] x) => ({kind}[N] y) {{ y = Identity(x) }}")["x"]
    assert array.shape == (4,)
    assert len(set(array.tolist())) == 4 or kind == "int64"  # which are a mask


def test_nothing_fits_says_to_give_a_sample() -> None:
    model = parse("g (float[N, S] x) => (float[N, S] y) { y = Identity(x) }")

    def refuse(_: Feed) -> None:
        raise RuntimeError("no such luck")

    with pytest.raises(InvalidSamples, match=r"no such luck.*--sample FILE.npz"):
        make_samples(model, refuse)


def test_inputs_that_no_array_can_carry_are_refused_by_name() -> None:
    model = parse("g (seq(bfloat16[N]) xs) => (bfloat16[M] y) { y = ConcatFromSequence<axis = 0>(xs) }")
    with pytest.raises(InvalidSamples, match="input 'xs'"):
        make_samples(model, lambda feed: None)


def test_sequences_are_made_up_of_several_tensors() -> None:
    model = parse("g (seq(float[N, 3]) xs) => (float[M, 3] y) { y = ConcatFromSequence<axis = 0>(xs) }")
    first, second = make_samples(model, runner(model))
    assert [array.shape for array in first["xs"]] == [(4, 3)] * 3
    assert not np.array_equal(first["xs"][0], first["xs"][1]) and not np.array_equal(first["xs"][0], second["xs"][0])


REAL = ["paraphrase_minilm_l3", "minilm_l6_int8", "magika_v3_3", "silero_vad", "rapidocr_cls_v2", "open_nsfw_resnet"]


@pytest.mark.parametrize("name", REAL)
def test_real_models_accept_the_first_tries(name: str, model_path: Callable[[str], Path]) -> None:
    path = model_path(name)
    model = onnx.load_model(path)
    run = runner(model)
    tries = 0

    def counted(feed: Feed) -> object:
        nonlocal tries
        tries += 1
        return run(feed)

    samples = make_samples(model, counted)
    assert len(samples) == 2
    assert tries <= 4
    for given in model_inputs(model):
        if given.shape:
            assert 4 in samples[0][given.name].shape
