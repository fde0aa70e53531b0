"""Concurrent calls that miss the same rows: one computes them, the others wait, whatever becomes of the one."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnxruntime as ort
import pytest
from hand_written import LIBRARY, Control, Region, Tensor, session
from region_counts import counts_of

import actcache
from models import feed
from models.fetch import fetch

Array = np.ndarray[Any, Any]
_ROWS = itertools.count(1)
WIDTH = 20_000


@pytest.fixture(autouse=True)
def _roomy(control: Control) -> Iterator[None]:
    """Whatever other tests have left in the store is no reason not to keep something here."""
    control.invalidate()
    yield
    control.configure("single_flight", None)


def slow(steps: int, failing: bool = False) -> Region:
    """A region of `steps` nodes in a row, each of which takes about a millisecond a row.

    What others are to wait for has a hundred: on a busy machine a thread may come some dozens of milliseconds later.

    A failing one also reads an index, which is out of bounds if it is not 0, after all of them.
    """
    names = ["x_c", *(f"s{i}" for i in range(steps))]
    body = "\n".join(f"{new} = Softplus({old})" for old, new in itertools.pairwise(names))
    frontier = [Tensor("x", shape=f"[N, {WIDTH}]")]
    if failing:
        frontier.append(Tensor("i", "int64", "[N, 1]"))
        body += f"""
            table = Constant <value_floats: floats = [0.0]> ()
            zero = Gather(table, i_c)
            y_m = Add({names[-1]}, zero)"""
    else:
        body += f"\ny_m = Identity({names[-1]})"
    return Region(frontier, [Tensor("y", shape=f"[N, {WIDTH}]")], body)


#: Rows of a call that is to be terminated: so many that a busy machine does not finish it first.
LONG = 40


def rows(count: int) -> Array:
    """Rows that no other test uses."""
    return np.stack([np.full(WIDTH, next(_ROWS) / 1024, np.float32) for _ in range(count)])


def wait_until(condition: Callable[[], bool]) -> float:
    """The time at which the condition holds; a minute is for ever."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)
    return time.monotonic()


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """The results of `count` calls that start together on threads of their own."""
    barrier = threading.Barrier(count)

    def one(index: int) -> Any:
        barrier.wait()
        return call(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# -- Calls that succeed -----------------------------------------------------------------------------------------------


def test_eight_threads_compute_a_row_once(control: Control) -> None:
    region = slow(100)
    model = region.session()
    model.run(None, {"x": rows(12)})  # how long that takes is what the others are patient for
    x = rows(2)
    results = at_once(8, lambda _: model.run(None, {"x": x})[0])
    assert control.counts(region, "misses", "stored", "joined", "hits") == (12 + 2, 12 + 2, 7 * 2, 7 * 2)
    for result in results:
        assert np.array_equal(result, results[0])


def test_the_first_calls_of_all_do_so_too(control: Control) -> None:
    region = slow(100)
    models = [region.session() for _ in range(3)]
    known = rows(2)
    for model in models:  # rows of another session are compared before others are used
        model.run(None, {"x": known})
    x = rows(2)
    at_once(6, lambda i: models[i % 3].run(None, {"x": x}))
    assert control.counts(region, "misses", "joined") == (6 + 2, 10)


def test_equal_rows_of_one_call_wait_together(control: Control) -> None:
    region = slow(100)
    model = region.session()
    model.run(None, {"x": rows(12)})
    x = rows(1)
    results = at_once(2, lambda _: model.run(None, {"x": np.repeat(x, 3, 0)})[0])
    assert np.array_equal(*results)
    assert control.counts(region, "misses", "joined", "duplicates", "hits") == (12 + 1, 3, 2, 5)


def test_batches_that_overlap(control: Control) -> None:
    region = slow(5)
    model = region.session()
    x = rows(12)
    expected = region.session(namespace="elsewhere").run(None, {"x": x})[0]
    before = control.counts(region, "lookups", "misses")
    random = np.random.default_rng(0)
    batches = [random.permutation(12)[: random.integers(1, 12)] for _ in range(24)]
    results = at_once(6, lambda i: [model.run(None, {"x": x[batch]})[0] for batch in batches[i::6]])
    for i, made in enumerate(results):
        for batch, result in zip(batches[i::6], made, strict=True):
            assert np.array_equal(result, expected[batch])
    lookups, misses = np.subtract(control.counts(region, "lookups", "misses"), before)
    assert lookups == sum(map(len, batches))
    # A call that waits for several others one after the other may run out of patience.
    assert 12 <= misses < lookups / 2
    assert control.stats(region)["joined"] > 0


def test_it_can_be_turned_off(control: Control) -> None:
    region = slow(100)
    model = region.session()
    control.configure("single_flight", "off")
    x = rows(2)
    results = at_once(4, lambda _: model.run(None, {"x": x})[0])
    assert all(np.array_equal(result, results[0]) for result in results)
    assert control.counts(region, "joined") == (0,)
    assert control.stats(region)["misses"] > 2


def test_nested_regions(control: Control) -> None:
    """A call that leads the outer region does not wait in the inner one, which other models have too."""
    outer, inner = slow(10), slow(10)
    nested = outer.proto()
    then = next(
        attribute.g
        for node in nested.graph.node
        if node.op_type == "If"
        for attribute in node.attribute
        if attribute.name == "then_branch"
    )
    part = onnx.compose.add_prefix(inner.proto(), "n_").graph
    then.node[0].input[0] = "n_y"
    own = list(then.node)
    del then.node[:]
    then.node.append(onnx.helper.make_node("Identity", ["x_c"], ["n_x"]))
    then.node.extend([*part.node, *own])
    then.value_info.extend(part.value_info)
    models = [session(nested), inner.session()]
    known = rows(12)
    for model in models:
        model.run(None, {"x": known})  # the second compares the inner region's rows
    x = rows(2)
    outputs = at_once(8, lambda i: models[i % 2].run(None, {"x": x if i < 4 else x[::-1]})[0])
    for i in (2, 3):
        assert np.array_equal(outputs[i], outputs[i % 2])
    for i in range(4, 8):
        assert np.array_equal(outputs[i], outputs[i % 2][::-1])
    assert control.counts(outer, "misses") == (12 + 2,)
    # Whoever leads the outer region computes the inner one too, if another call does already.
    assert 24 + 2 <= control.stats(inner)["misses"] <= 24 + 4


@pytest.mark.parametrize("mode", [ort.ExecutionMode.ORT_SEQUENTIAL, ort.ExecutionMode.ORT_PARALLEL])
def test_towers_in_opposite_orders(control: Control, mode: ort.ExecutionMode) -> None:
    """Each Run leads one row in a tower and finds another, which the other Run leads, in the other tower."""
    regions = slow(10), slow(10)
    towers = [onnx.compose.add_prefix(region.proto(), prefix) for region, prefix in zip(regions, "ab", strict=True)]
    both = towers[0]
    both.graph.node.extend(towers[1].graph.node)
    both.graph.input.extend(towers[1].graph.input)
    both.graph.output.extend(towers[1].graph.output)
    both.graph.value_info.extend(towers[1].graph.value_info)
    options = ort.SessionOptions()
    options.execution_mode = mode
    options.inter_op_num_threads = 2
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(str(LIBRARY))
    model = ort.InferenceSession(both.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = rows(2)
    alone = regions[0].session(namespace="elsewhere").run(None, {"x": x})[0]

    def call(index: int) -> None:
        for _ in range(5):
            one, other = (x, x[::-1]) if index % 2 else (x[::-1], x)
            first, second = model.run(None, {"ax": one, "bx": other})
            assert np.array_equal(first, alone[:: 1 if index % 2 else -1])
            assert np.array_equal(second, alone[:: -1 if index % 2 else 1])

    at_once(4, call)
    for region in regions:
        assert control.stats(region)["hits"] > 0


def test_a_real_model(tmp_path: Path) -> None:
    name = "paraphrase_minilm_l3"
    made = actcache.compile_model(fetch(name), tmp_path / "model.onnx", samples=[feed(name, 3, seed=0, size=24)])
    model = actcache.InferenceSession(str(made.output), providers=["CPUExecutionProvider"])
    original = ort.InferenceSession(str(fetch(name)), providers=["CPUExecutionProvider"])

    def counts() -> tuple[int, int]:
        found = counts_of(made.regions[-1])
        return found["misses"], found["joined"]

    model.run(None, feed(name, 24, seed=987653, size=24))  # how long that takes is what others are patient for
    misses, joined = counts()
    given = feed(name, 6, seed=987654, size=24)
    expected = original.run(None, given)
    results = at_once(8, lambda _: model.run(None, given))
    assert counts() == (misses + 6, joined + 7 * 6)
    for result in results:
        for output, right in zip(result, expected, strict=True):
            np.testing.assert_allclose(output, right, rtol=0, atol=1e-4 * np.abs(right).max())


# -- Calls that fail --------------------------------------------------------------------------------------------------


@dataclass
class Race:
    """A call that computes a row for long and fails, and one that waits for it meanwhile."""

    control: Control
    region: Region
    limit: float = 0  # seconds after which the waiting one would go on in any case

    def warm_up(self, model: ort.InferenceSession, feed: dict[str, Array]) -> None:
        start = time.monotonic()
        model.run(None, feed)
        self.limit = 3 * (time.monotonic() - start)

    def misses(self) -> int:
        return int(self.control.counts(self.region, "misses")[0])

    def run(
        self,
        lead: Callable[[], Any],
        fail: Callable[[], None],
        wait: Callable[[], Array],
        afterwards: Callable[[threading.Event], Any],
    ) -> tuple[float, Array]:
        """Return how long the waiting call went on waiting after the leading one had failed, and its result."""
        before = self.misses()
        done = threading.Event()
        failed = []

        def leading() -> None:
            with pytest.raises(Exception, match=r"terminate|out of data bounds"):
                lead()
            failed.append(time.monotonic())
            afterwards(done)

        with ThreadPoolExecutor(2) as pool:
            leader = pool.submit(leading)
            wait_until(lambda: self.misses() > before)
            led = self.misses()
            waiter = pool.submit(wait)
            time.sleep(self.limit / 60)
            assert self.misses() == led  # it waits
            fail()
            gone_on = wait_until(lambda: self.misses() > led)
            done.set()
            leader.result()
            return gone_on - failed[0], waiter.result()


def spin(done: threading.Event) -> None:
    while not done.is_set():
        pass


@pytest.mark.parametrize(
    ("kind", "afterwards"),
    [
        (actcache.InferenceSession, spin),  # says so itself
        (ort.InferenceSession, threading.Event.wait),  # goes idle
    ],
)
def test_a_terminated_call_frees_those_who_wait(control: Control, kind: Any, afterwards: Any) -> None:
    region = slow(100)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(str(LIBRARY))
    if kind is actcache.InferenceSession:
        options = ort.SessionOptions()
    model = kind(region.proto().SerializeToString(), options, providers=["CPUExecutionProvider"])
    race = Race(control, region)
    race.warm_up(model, {"x": rows(4)})
    x = rows(LONG)
    stop = ort.RunOptions()

    def terminate() -> None:
        stop.terminate = True

    late, result = race.run(
        lambda: model.run(None, {"x": x}, stop), terminate, lambda: model.run(None, {"x": x[:2]})[0], afterwards
    )
    assert late < race.limit * LONG / 4 / 2  # it was measured for four rows
    assert np.array_equal(result, model.run(None, {"x": x[:2]})[0])


def test_a_call_that_fails_in_the_region_frees_those_who_wait(control: Control) -> None:
    region = slow(100, failing=True)
    model = region.session()
    race = Race(control, region)
    zero = np.zeros((4, 1), np.int64)
    race.warm_up(model, {"x": rows(4), "i": zero})
    x = rows(2)
    late, result = race.run(
        lambda: model.run(None, {"x": x, "i": np.array([[0], [1]])}),
        lambda: None,
        lambda: model.run(None, {"x": x[:1], "i": zero[:1]})[0],
        threading.Event.wait,
    )
    assert late < race.limit / 2
    assert np.array_equal(result, model.run(None, {"x": x[:1], "i": zero[:1]})[0])


def test_a_thread_that_calls_again_frees_those_who_wait(control: Control) -> None:
    region = slow(100)
    model = region.session()
    race = Race(control, region)
    known = rows(4)
    race.warm_up(model, {"x": known})
    x = rows(LONG)
    stop = ort.RunOptions()

    def terminate() -> None:
        stop.terminate = True

    def call_again(done: threading.Event) -> None:
        model.run(None, {"x": known})
        spin(done)

    late, _ = race.run(
        lambda: model.run(None, {"x": x}, stop), terminate, lambda: model.run(None, {"x": x[:2]}), call_again
    )
    assert late < race.limit * LONG / 4 / 2
