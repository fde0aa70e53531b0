"""What separates entries: everything a result depends on, in models that plain onnxruntime runs, and nothing else."""

# mypy: no-warn-return-any
from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from hand_written import Control, Region, Tensor, batch, squares

import actcache
from models import Feed, feed
from models.fetch import fetch

_TAGS = itertools.count(1)
_BYTES = np.arange(24, dtype=np.uint8)


# -- the same bytes otherwise described ----------------------------------------------------------------


@dataclass
class Impostor:
    """A model that claims another's fingerprint and reads the same bytes, but has an answer of its own."""

    frontier: list[Tensor]
    feed: dict[str, np.ndarray]
    granularity: str = "tensor"
    output: str = "float"

    def region(self, fingerprint: str) -> tuple[Region, Callable[[], bool]]:
        """Return the region and a function that runs it and says whether the answer is its own."""
        tag, first = next(_TAGS), self.frontier[0]
        read = f"{first.name}_c" if self.granularity == "row" else first.name
        region = Region(
            self.frontier,
            [Tensor("y", self.output, "[M]")],
            f"""tag = Constant <value = {self.output}[1] {{{tag}}}> ()  all = Shape({read})
                axis = Constant <value_ints: ints = [{max(first.axis, 0)}]> ()
                count = {"Gather(all, axis)" if self.granularity == "row" else "Shape(tag)"}
                y_m = Expand(tag, count)""",
            self.granularity,
            fingerprint,
        )
        session = region.session()

        def own() -> bool:
            answer = session.run(None, self.feed)[0].tolist()
            return answer == [tag] * len(answer)

        return region, own


def numbers(dtype: str, *shape: int) -> np.ndarray:
    return _BYTES.view(dtype).reshape(shape)


def whole(kind: str, dtype: str, *shape: int, output: str = "float") -> Impostor:
    sizes = ", ".join("ABCD"[axis] for axis in range(len(shape)))
    return Impostor([Tensor("x", kind, f"[{sizes}]")], {"x": numbers(dtype, *shape)}, output=output)


def rows(kind: str, dtype: str, *shape: int, axis: int = 0, output: str = "float") -> Impostor:
    sizes = ", ".join("N" if at == axis else "ABCD"[at] for at in range(len(shape)))
    return Impostor([Tensor("x", kind, f"[{sizes}]", axis)], {"x": numbers(dtype, *shape)}, "row", output)


def two(first: int, order: str = "xz") -> Impostor:
    parts = dict(zip(order, np.split(numbers("f4", 6), [first]), strict=True))
    return Impostor([Tensor(name, "float", f"[{name.upper()}]") for name in order], parts)


def strings(*texts: str) -> Impostor:
    return Impostor([Tensor("x", "string", "[A]")], {"x": np.array(texts, object)})


IMPOSTORS = {
    "types": [
        whole("float", "f4", 6),
        whole("int32", "i4", 6),
        whole("uint32", "u4", 6),
        rows("float", "f4", 1, 6),
        rows("int32", "i4", 1, 6),
        rows("uint32", "u4", 1, 6),
        whole("double", "f8", 3),
        whole("int64", "i8", 3),
        whole("float16", "f2", 12),
        whole("uint8", "u1", 24),
    ],
    "shapes": [whole("float", "f4", 2, 3), whole("float", "f4", 3, 2), whole("float", "f4", 6, 1)],
    "ranks": [whole("float", "f4", 6), whole("float", "f4", 1, 6), whole("float", "f4", 1, 1, 6)],
    "rows": [
        rows("float", "f4", 1, 6),
        rows("float", "f4", 1, 2, 3),
        rows("float", "f4", 1, 3, 2),
        rows("float", "f4", 6, 1, axis=1),
        rows("float", "f4", 1, 6, 1),
        whole("float", "f4", 1, 6),
    ],
    "framing": [two(2), two(3), two(4), two(0), whole("float", "f4", 6)],
    "strings": [strings("ab", "c"), strings("a", "bc"), strings("abc"), strings("abc", ""), strings("", "abc")],
    "results": [
        whole("float", "f4", 6),
        whole("float", "f4", 6, output="double"),
        whole("float", "f4", 6, output="int32"),
    ],
}


@pytest.mark.parametrize("what", IMPOSTORS)
def test_equal_bytes_of_another_kind_are_not_found(control: Control, what: str) -> None:
    made = [impostor.region(f"impostors {what}") for impostor in IMPOSTORS[what]]
    for expected in ((1, 0), (1, 1)):  # cold; then each finds its own entry, after all others have stored theirs
        for region, own in made:
            region_id = region.id
            assert own()
            assert control.counts(region, "misses", "hits") == expected, region_id


def test_the_bytes_alone_are_enough_to_be_found(control: Control) -> None:
    """The other half of the pair: what is the same in all these respects is found, and compared, by another model."""
    one, other = (whole("float", "f4", 6).region("the same") for _ in "12")
    assert one[1]()
    assert other[1]()  # its own answer, although it has the fingerprint of the first
    assert control.counts(other[0], "misses", "hits", "verified", "mismatches") == (1, 0, 1, 1)


def test_regions_of_one_model_are_apart(control: Control) -> None:
    """Two regions that read the same tensor: only what they compute tells them from each other."""
    first, second = squares(), Region([Tensor("x")], [Tensor("y")], "y_m = Neg(x_c)")
    x = batch(1, 2)
    sessions = first.session(), second.session()
    for _ in range(2):
        assert np.array_equal(sessions[0].run(None, {"x": x})[0], x * x)
        assert np.array_equal(sessions[1].run(None, {"x": x})[0], -x)
    for region in (first, second):
        assert control.counts(region, "misses", "hits") == (2, 2)


def test_two_towers_of_one_shape_are_apart(tmp_path: Path) -> None:
    """Compiled: two encoders with other weights, on inputs of the same bytes."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> twins (float[N, 64] a, float[N, 64] b) => (float[N, 64] y) {
             a0 = MatMul(a, w0) a1 = Tanh(a0) b0 = MatMul(b, w1) b1 = Tanh(b0) y = Add(a1, b1) }"""
    )
    generator = np.random.default_rng(0)
    for name in ("w0", "w1"):
        weight = generator.standard_normal((64, 64)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(model, tmp_path / "twins.onnx")
    regions = [actcache.RegionSpec("one", ("a",), ("a1",)), actcache.RegionSpec("two", ("b",), ("b1",))]
    result = actcache.compile_model(tmp_path / "twins.onnx", regions=regions, account_output="account")
    session = actcache.InferenceSession(result.output)
    x = generator.standard_normal((3, 64)).astype(np.float32)
    (expected,) = ort.InferenceSession(str(tmp_path / "twins.onnx")).run(None, {"a": x, "b": x})
    for account in ([[0, 3, 0], [0, 3, 0]], [[3, 0, 0], [3, 0, 0]]):
        y, found = session.run(None, {"a": x, "b": x})
        assert np.allclose(y, expected, atol=1e-5) and found.tolist() == account


# -- content addressing --------------------------------------------------------------------------------

NAME = "magika_v3_3"


class Deployed:
    """A model file and what it was compiled to, as a service that is deployed again and again has them."""

    def __init__(self, source: Path) -> None:
        self.source = source
        result = actcache.compile_model(
            source, samples=[feed(NAME, 3, seed=1)], account_output="account", granularity="row"
        )
        self.fingerprint = result.regions[0].fingerprint
        self.session = actcache.InferenceSession(result.output)

    def account(self, given: Feed) -> list[int]:
        """Run a call; the outputs are those of the model file as it is now."""
        *outputs, account = self.session.run(None, given)
        expected = ort.InferenceSession(str(self.source)).run(None, given)
        for mine, original in zip(outputs, expected, strict=True):
            assert np.allclose(mine, original, atol=1e-5)
        return list(account[0].tolist())


def retrain(path: Path) -> None:
    """Change one number of one weight, as little as training may."""
    proto = onnx.load(path)
    weight = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(weight).copy()
    values.reshape(-1)[0] += np.float32(1)
    weight.raw_data = values.tobytes()
    onnx.save(proto, path)


def test_a_retrained_model_of_the_same_name_never_gets_old_results(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    shutil.copy(fetch(NAME), source)
    first, given = Deployed(source), feed(NAME, 2, seed=2)
    assert first.account(given) == [0, 2, 0]
    assert first.account(given) == [2, 0, 0]
    old = first.session.run(None, given)[0]
    retrain(source)
    second = Deployed(source)  # same file names; nothing was invalidated
    assert second.fingerprint != first.fingerprint
    assert second.account(given) == [0, 2, 0]
    assert second.account(given) == [2, 0, 0]
    assert not np.array_equal(second.session.run(None, given)[0], old)
    assert first.session.run(["account"], given)[0].tolist() == [[2, 0, 0]]  # and is still served to who has it loaded


def test_an_identical_copy_shares_entries(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "model.onnx", tmp_path / "other" / "renamed.onnx"
    for path in (one, other):
        path.parent.mkdir()
        shutil.copy(fetch(NAME), path)
    given = feed(NAME, 2, seed=3)
    assert Deployed(one).account(given) == [0, 2, 0]
    copy = Deployed(other)
    assert copy.account(given) == [0, 2, 0]  # compared
    assert copy.account(given) == [2, 0, 0]
