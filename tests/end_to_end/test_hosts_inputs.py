"""What else a session computes with: initializers that may be fed, adapters, sizes that meet by chance, huge rows."""

# mypy: disable-error-code="misc"
from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hosts import WIDTH, Array, Counts, Hosted, drawn, host, matrices, options, same

import actcache

ROUNDING = 1e-6
LORA = 4


@pytest.fixture(scope="module", params=["row", "tensor"])
def adapted(request: pytest.FixtureRequest) -> Hosted:
    """A dense layer with an adapter of low rank: ``down`` and ``up`` have defaults of no effect and any rank."""
    return host(
        f"""<ir_version: 8, opset_import: ["": 17]>
        adapted (float[N, {WIDTH}] x, float[{WIDTH}, R] down, float[R, {WIDTH}] up, float scale)
          => (float[N, {WIDTH}] y) {{
            a = MatMul(x, w0)  b = MatMul(x, down)  c = MatMul(b, up)  d = Mul(c, scale)  e = Add(a, d)
            f = Tanh(e)  y = MatMul(f, w1)
        }}""",
        {
            **matrices(2),
            "down": np.zeros((WIDTH, LORA), np.float32),
            "up": np.zeros((LORA, WIDTH), np.float32),
            "scale": np.array(1, np.float32),
        },
        [actcache.RegionSpec("adapted", ("x", "down", "up", "scale"), ("f",))],
        request.param,
    )


def parts(rank: int, seed: int) -> dict[str, Array]:
    return {"down": drawn(WIDTH, rank, seed=seed), "up": drawn(rank, WIDTH, seed=seed + 1)}


@pytest.mark.parametrize("fed_first", [False, True])
def test_initializers_that_may_be_fed(adapted: Hosted, fed_first: bool) -> None:
    """Fed, left out and fed with other shapes, in both orders: never another call's values."""
    one = adapted.again()
    original, compiled = one.plain(), one.session()
    assert [value.name for value in compiled.get_overridable_initializers()] == ["down", "up", "scale"]
    x = {"x": drawn(5, WIDTH)}
    feeds = [x, x | parts(LORA, 1), x | parts(LORA, 3), x | parts(7, 5), x | {"scale": np.array(9, np.float32)}]
    feeds.append(x | parts(LORA, 1) | {"scale": np.array(3, np.float32)})
    if fed_first:
        feeds.reverse()
    rows = 5 if one.row else 1
    for counts in (Counts(0, rows), Counts(rows, 0)):
        wanted = [original.run(None, feed) for feed in feeds]
        # With defaults of no effect, a scale alone changes nothing; all others do.
        assert len({outputs[0].tobytes() for outputs in wanted}) == len(feeds) - 1
        for feed, outputs in zip(feeds, wanted, strict=True):
            got, found = one.counted(lambda feed=feed: compiled.run(None, feed))
            assert found == counts
            same(got, outputs, ROUNDING)


def written(path: Path, values: dict[str, Array]) -> ort.LoraAdapter:
    """An adapter that stands in a file, as hosts have it."""
    made = ort.AdapterFormat()
    made.set_adapter_version(1)
    made.set_model_version(1)
    made.set_parameters({name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in values.items()})
    made.export_adapter(str(path))
    adapter = ort.LoraAdapter()
    adapter.Load(str(path))
    return adapter


def test_adapters(adapted: Hosted, tmp_path: Path) -> None:
    """Each call names its adapter; with each of them its own entries are found again, and none without."""
    one = adapted.again()
    original, compiled = one.plain(), one.session()
    adapters = [written(tmp_path / f"{n}.adapter", parts(rank, 20 + n)) for n, rank in enumerate((LORA, LORA, 9))]
    x = {"x": drawn(5, WIDTH)}
    rows = 5 if one.row else 1
    outputs = []
    for counts in (Counts(0, rows), Counts(rows, 0)):
        for adapter in (None, *adapters):
            active = ort.RunOptions()
            if adapter is not None:
                active.add_active_adapter(adapter)
            outputs.append(original.run(None, x, active))
            got, found = one.counted(lambda active=active: compiled.run(None, x, active))
            assert found == counts
            same(got, outputs[-1], ROUNDING)
    assert len({made[0].tobytes() for made in outputs}) == 4
    # An adapter is what is fed, under another name.
    got, found = one.counted(lambda: compiled.run(None, x | parts(LORA, 20)))
    assert found == Counts(rows, 0)
    same(got, outputs[1], ROUNDING)


def test_an_input_that_shadows_a_weight_of_the_region(adapted: Hosted) -> None:
    """With constant folding on and off, and with prepacked weights or none, a fed initializer counts."""
    for level, prepacking in itertools.product(
        (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL), "01"
    ):
        one = adapted.again()
        made = options(session__disable_prepacking=prepacking)
        made.graph_optimization_level = level
        original, compiled = one.plain(), one.session(made)
        for feed in ({}, parts(LORA, 1), {}, parts(LORA, 1)):
            both = {"x": drawn(5, WIDTH), **feed}
            same(compiled.run(None, both), original.run(None, both), ROUNDING)


@pytest.fixture(scope="module")
def squared() -> Hosted:
    """Attention within a row, whose every size is variable but 3."""
    return host(
        """<ir_version: 8, opset_import: ["": 17]>
        squared (float[N, S, 3] x, float[N, T, 3] k) => (float[N, S, T] y, float[N, S, 3] z) {
            t = Transpose<perm = [0, 2, 1]>(k)  s = MatMul(x, t)  y = Softmax<axis = -1>(s)  z = MatMul(y, k)
        }""",
        regions=[actcache.RegionSpec("squared", ("x", "k"), ("y", "z"))],
    )


def sizes() -> Iterator[tuple[int, int, int]]:
    yield from ((n, n, n) for n in range(1, 10))
    yield from ((n, s, 3) for n in (1, 3, 4, 9) for s in (1, 3, 9))


def test_batches_as_large_as_other_dimensions(squared: Hosted) -> None:
    """Of 1 to 9 rows, with the same sizes within them: which axis is which is known, not guessed."""
    one = squared.again()
    original, compiled = one.plain(), one.session()
    played = list(sizes())
    assert len(played) == 21
    for number, (n, s, t) in enumerate(played):
        feed = {"x": drawn(n, s, 3, seed=number), "k": drawn(n, t, 3, seed=1000 + number)}
        half = {name: value[::2].copy() for name, value in feed.items()}
        turned = {name: value[::-1].copy() for name, value in feed.items()}
        m = (n + 1) // 2
        for rows, counts in ((half, Counts(0, m)), (feed, Counts(m, n - m)), (turned, Counts(n, 0))):
            got, found = one.counted(lambda rows=rows: compiled.run(None, rows))
            assert found == counts
            same(got, original.run(None, rows), ROUNDING)


def test_no_rows(squared: Hosted) -> None:
    one = squared.again()
    original, compiled = one.plain(), one.session()
    for n, s, t in ((0, 3, 3), (0, 0, 3), (2, 0, 3), (0, 1, 1), (2, 2, 2)):
        feed = {"x": drawn(n, s, 3), "k": drawn(n, t, 3)}
        for _ in range(2):
            same(compiled.run(None, feed), original.run(None, feed), ROUNDING)


@pytest.mark.parametrize("budget", [1 << 20, 1 << 28])
def test_huge_rows(squared: Hosted, budget: int) -> None:
    """Rows of 18 MB, beyond the budget of the store or within it."""
    one = squared.again()
    original, compiled = one.plain(), one.session()
    feed = {"x": drawn(2, 1_500_000, 3), "k": drawn(2, 1, 3)}
    actcache.configure(budget_bytes=budget)
    try:
        for number in range(2):
            for rows in ([0], [1, 0]):
                taken = {name: value[rows] for name, value in feed.items()}
                got, found = one.counted(lambda taken=taken: compiled.run(None, taken))
                if number == 1:
                    assert found == (Counts(len(rows), 0) if budget > 1 << 26 else Counts(0, len(rows)))
                same(got, original.run(None, taken), ROUNDING)
        assert actcache.stats()["store"]["bytes"] <= budget
    finally:
        actcache.invalidate(one.namespace)
