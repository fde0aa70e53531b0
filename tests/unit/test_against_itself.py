"""``benchmarks.against_itself``: its estimate keeps what recurs and leaves out what does not; its turns are fair."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import actcache
from benchmarks.against_itself import AgainstItself, orders_of_chance, ratios
from benchmarks.contenders import WrongOutputError
from benchmarks.counts import Reused, begin_anew, states, use_other_namespace
from benchmarks.sessions import session


def rounds_of(count: int, calls: int) -> np.ndarray:
    """Seconds [rounds, calls, sessions] of calls of several lengths, each session with a lead or lag a round."""
    random = np.random.default_rng(3)
    lengths = random.uniform(1, 5, calls)[None, :, None]
    return lengths * random.normal(1, 0.01, (count, 1, 3)) * random.normal(1, 0.02, (count, calls, 3))


def test_equal_models_are_equal() -> None:
    compiled, itself = ratios(rounds_of(15, 200))
    assert compiled == pytest.approx(1, abs=0.01) and itself == pytest.approx(1, abs=0.01)


def test_what_one_round_was_hit_by_does_not_count_and_what_every_round_has_does() -> None:
    seconds = rounds_of(15, 200)
    plain = ratios(seconds)[0]
    hit = seconds.copy()
    hit[4, :, 2] *= 3
    hit[9, 20:90, 0] *= 5
    assert ratios(hit)[0] == pytest.approx(plain, abs=0.01)
    first = seconds.copy()
    first[:, :10, 2] *= 2
    length = seconds[:, :, 0].sum()
    assert ratios(first)[0] == pytest.approx(plain + seconds[:, :10, 2].sum() / length, abs=0.01)
    assert ratios(first)[0] > plain + 0.02


def test_nobody_follows_itself_and_each_comes_first_as_often() -> None:
    orders = list(islice(orders_of_chance(3, np.random.default_rng(0)), 3000))
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    played = [place for order in orders for place in order]
    follows = Counter(pairwise(played))
    assert set(follows) == {(one, other) for one in range(3) for other in range(3) if one != other}
    assert min(follows.values()) > 0.9 * max(follows.values())
    first = Counter(order[0] for order in orders)
    assert min(first.values()) > 0.9 * max(first.values())


def saved(folder: Path, factor: float) -> Path:
    """A model without any cache that multiplies by a constant, as a stand-in for a compiled one."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    times (float[N, 4] x) => (float[N, 4] y) <float factor = {{{factor}}}> {{ y = Mul(x, factor) }}"""
    path = folder / f"times-{factor}.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def test_rounds_are_played_by_sessions_of_their_own(tmp_path: Path) -> None:
    feeds = [{"x": np.full((2, 4), number, np.float32)} for number in range(5)]
    model = AgainstItself(saved(tmp_path, 2.0), saved(tmp_path, 2.0))
    for _ in range(2):
        model.load(feeds[0])
        took = model.play(feeds)
        assert took.shape == (5, 3, 2) and (took > 0).all()
        model.count(took)
    assert model.rounds == 2 and model.difference == 0
    found = model.found()
    assert set(found) == {"wall", "cpu"} and all(each["ms"] > 0 for each in found.values())


def test_the_last_quarter_of_the_calls_is_told_by_itself(tmp_path: Path) -> None:
    model = AgainstItself(tmp_path, tmp_path)
    for took in rounds_of(15, 200):
        learning = took.copy()
        learning[:150, 2] *= 1.5
        model.count(np.stack([learning, learning], axis=-1))
    wall = model.found()["wall"]
    assert wall["compiled"]["median"] > 1.3
    assert wall["last_quarter"]["median"] == pytest.approx(1, abs=0.02)


def test_a_round_begins_as_if_nothing_had_been_before(tmp_path: Path) -> None:
    source, target = saved(tmp_path, 2.0), tmp_path / "compiled.onnx"
    feeds = [{"x": np.full((1, 4), number, np.float32)} for number in range(200)]
    actcache.compile_model(source, target, samples=[feeds[0]], min_saving=0.0)
    for _ in range(2):
        use_other_namespace()
        compiled = session(target, compiled=True)
        begin_anew(compiled, feeds[0])
        reused = Reused()
        reused.begin()
        assert states(1) == ["active"]
        for feed in feeds[1:]:
            compiled.run(None, feed)
        reused.end()
        assert set(reused.shares().values()) == {0}
        assert states(1) == ["bypassed"], "one multiplication is not worth a lookup"


def test_a_wrong_output_ends_it(tmp_path: Path) -> None:
    model = AgainstItself(saved(tmp_path, 2.0), saved(tmp_path, 2.5))
    feed = {"x": np.ones((1, 4), np.float32)}
    model.load(feed)
    with pytest.raises(WrongOutputError, match=r"differs by 0\.5"):
        model.play([feed])
