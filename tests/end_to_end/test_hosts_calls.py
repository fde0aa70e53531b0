"""How a host calls: some outputs, bound memory, memory that it writes again, calls that return at once."""

# mypy: disable-error-code="misc"
from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hosts import WIDTH, Array, Counts, Hosted, drawn, options, same, stack, towers

ROUNDING = 1e-6
SELECTIONS = [["y"], ["z"], ["best"], ["best", "y"], ["z", "best", "y"], [], None]


@pytest.fixture(params=["row", "tensor"])
def one(request: pytest.FixtureRequest) -> Hosted:
    return stack(request.param)


@pytest.mark.parametrize("names", SELECTIONS, ids=str)
def test_some_outputs_in_any_order(one: Hosted, names: list[str] | None) -> None:
    original, compiled = one.plain(), one.session()
    one.check(lambda f: original.run(names, f), lambda f: compiled.run(names, f), {"x": drawn(6, WIDTH)}, ROUNDING)


@pytest.mark.parametrize("names", [["y"], ["best", "z"], None], ids=str)
def test_options_of_a_call(one: Hosted, names: list[str] | None) -> None:
    """Only what leads to the outputs asked for is run, and the arena is given back after each call."""
    original, compiled = one.plain(), one.session()
    said = ort.RunOptions()
    said.only_execute_path_to_fetches = True
    said.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    feed = {"x": drawn(6, WIDTH)}
    one.check(lambda f: original.run(names, f, said), lambda f: compiled.run(names, f, said), feed, ROUNDING)


def test_other_outputs_in_every_call(one: Hosted) -> None:
    """What one call did not ask for is there for the next."""
    original, compiled = one.plain(), one.session()
    feed = {"x": drawn(5, WIDTH)}
    rows = 5 if one.row else 1
    for number, names in enumerate(SELECTIONS):
        got, counts = one.counted(lambda names=names: compiled.run(names, feed))
        assert counts == (Counts(0, rows) if number == 0 else Counts(rows, 0))
        same(got, original.run(names, feed), ROUNDING)


def test_one_tower_at_a_time() -> None:
    one = towers()
    original, compiled = one.plain(), one.session()
    a, b = drawn(5, WIDTH), drawn(5, WIDTH, seed=1)
    for feed in ({"a": a, "b": b}, {"a": a, "b": b[::-1].copy()}, {"a": a[::-1].copy(), "b": b}):
        for names in (["q"], ["p"], ["q", "p"]):
            same(compiled.run(names, feed), original.run(names, feed), ROUNDING)
    before = one.counts()
    same(compiled.run(None, {"a": a, "b": b}), original.run(None, {"a": a, "b": b}), ROUNDING)
    assert one.counts() == Counts(before.hits + 10, before.misses)


# -- Bound memory -----------------------------------------------------------------------------------------------------


def test_outputs_bound_to_arrays(one: Hosted) -> None:
    """Their memory is the host's, the same in every call."""
    original, compiled = one.plain(), one.session()
    binding = compiled.io_binding()

    def bound(feed: dict[str, Array]) -> list[Array]:
        n = len(feed["x"])
        made: list[Array] = [
            np.full((n, WIDTH), 7, np.float32),
            np.full((n, WIDTH), 7, np.float32),
            np.full(n, -7, np.int64),
        ]
        binding.bind_cpu_input("x", np.ascontiguousarray(feed["x"]))
        for name, array in zip(("y", "z", "best"), made, strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        compiled.run_with_iobinding(binding)
        return made

    one.check(original, bound, {"x": drawn(6, WIDTH)}, ROUNDING)


def test_outputs_bound_by_name(one: Hosted) -> None:
    """Whatever memory onnxruntime chooses stays the host's: later calls do not write there."""
    original, compiled = one.plain(), one.session()
    binding = compiled.io_binding()
    kept: list[tuple[list[Any], list[Array]]] = []

    def bound(feed: dict[str, Array]) -> list[Array]:
        binding.bind_cpu_input("x", np.ascontiguousarray(feed["x"]))
        for name in ("best", "z", "y"):
            binding.bind_output(name, "cpu")
        compiled.run_with_iobinding(binding)
        values = binding.get_outputs()
        kept.append((values, [value.numpy().copy() for value in values]))
        return [values[2].numpy(), values[1].numpy(), values[0].numpy()]

    one.check(original, bound, {"x": drawn(6, WIDTH)}, ROUNDING)
    assert len(kept) == 6
    for values, before in kept:
        same([value.numpy() for value in values], before)


def test_one_binding_for_many_calls(one: Hosted) -> None:
    """Bound once; the host writes the input in place and reads the outputs in place."""
    original, compiled = one.plain(), one.session()
    x = np.empty((4, WIDTH), np.float32)
    y, z, best = np.empty_like(x), np.empty_like(x), np.empty(4, np.int64)
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in (x, y, z, best)]
    binding = compiled.io_binding()
    binding.bind_ortvalue_input("x", values[0])
    for name, value in zip(("y", "z", "best"), values[1:], strict=True):
        binding.bind_ortvalue_output(name, value)
    rows = drawn(8, WIDTH)
    for taken in ([0, 1, 2, 3], [0, 1, 2, 3], [3, 2, 1, 0], [1, 4, 5, 1], [6, 6, 6, 6]):
        values[0].update_inplace(np.ascontiguousarray(rows[taken]))
        compiled.run_with_iobinding(binding)
        same([value.numpy() for value in values[1:]], original.run(None, {"x": rows[taken]}), ROUNDING)
    assert one.counted(lambda: compiled.run_with_iobinding(binding))[1] == Counts(4 if one.row else 1, 0)


def test_an_output_in_the_memory_of_the_input(one: Hosted) -> None:
    """The host lets an output overwrite the input, as stateful loops do: the row that is stored is the one given."""
    original, compiled = one.plain(), one.session()
    state = drawn(5, WIDTH)
    plain = state.copy()
    for step in range(4):
        if step == 2:  # the same two steps again
            state, plain = drawn(5, WIDTH), drawn(5, WIDTH)
        for session, array in ((original, plain), (compiled, state)):
            binding = session.io_binding()
            binding.bind_input("x", "cpu", 0, np.float32, array.shape, array.ctypes.data)
            binding.bind_output("y", "cpu", 0, np.float32, array.shape, array.ctypes.data)
            _, counts = one.counted(lambda session=session, binding=binding: session.run_with_iobinding(binding))
            if session is compiled:
                rows = 5 if one.row else 1
                assert counts == (Counts(0, rows) if step < 2 else Counts(rows, 0))
        same([state], [plain], ROUNDING)


# -- Memory that is written again -------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_values", [False, True], ids=["arrays", "OrtValues"])
def test_inputs_written_in_place(one: Hosted, as_values: bool) -> None:
    original, compiled = one.plain(), one.session()
    x = np.zeros((4, WIDTH), np.float32)
    value = ort.OrtValue.ortvalue_from_numpy(x)  # shares the memory of x, or copies it: update_inplace writes to both
    rows = drawn(12, WIDTH)
    for taken, missing in [([0, 1, 2, 3], 4), ([4, 5, 6, 7], 4), ([0, 1, 2, 3], 0), ([7, 0, 8, 8], 1), ([0] * 4, 0)]:
        x[:] = rows[taken]
        value.update_inplace(x.copy())

        def call() -> Any:
            if as_values:
                return [made.numpy() for made in compiled.run_with_ort_values(None, {"x": value})]
            return compiled.run(None, {"x": x})

        got, counts = one.counted(call)
        if one.row:
            assert counts == Counts(4 - missing, missing)
        x[:] = np.nan
        same(got, original.run(None, {"x": rows[taken]}), ROUNDING)


def test_outputs_written_by_the_host(one: Hosted) -> None:
    """What is returned is the host's: what it does to it reaches no entry."""
    original, compiled = one.plain(), one.session()
    x = drawn(5, WIDTH)
    wanted = original.run(None, {"x": x})
    for number in range(4):
        got, counts = one.counted(
            lambda: compiled.run_with_ort_values(None, {"x": ort.OrtValue.ortvalue_from_numpy(x)})
        )
        assert counts.hits == (0 if number == 0 else 5 if one.row else 1)
        same([value.numpy() for value in got], wanted, ROUNDING)
        for value in got:
            ctypes.memset(value.data_ptr(), 99, value.tensor_size_in_bytes())


def test_inputs_that_are_not_contiguous(one: Hosted) -> None:
    original, compiled = one.plain(), one.session()
    wide = drawn(12, 2 * WIDTH)
    for x in (wide[::2, ::2], wide[::-2, ::-2], np.asfortranarray(wide[:6, :WIDTH]), wide[::2, ::2]):
        same(compiled.run(None, {"x": x}), original.run(None, {"x": x}), ROUNDING)
    assert one.counted(lambda: compiled.run(None, {"x": wide[::2, ::2]}))[1].misses == 0


# -- Calls that return at once ----------------------------------------------------------------------------------------


class Flights:
    """Results of `run_async` by number."""

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self._changed = threading.Condition()

    def landed(self) -> Callable[[Any, int, str], None]:
        def done(results: Any, number: int, error: str) -> None:
            with self._changed:
                self.results[number] = error or results
                self._changed.notify_all()

        return done

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) == count, timeout=60)


@pytest.mark.parametrize("mode", list(ort.ExecutionMode.__members__.values()), ids=str)
def test_many_calls_in_flight(one: Hosted, mode: ort.ExecutionMode) -> None:
    made = options(3)
    made.execution_mode = mode
    original, compiled = one.plain(), one.session(made)
    rows = drawn(20, WIDTH)
    random = np.random.default_rng(0)
    batches = [random.integers(0, 20, random.integers(1, 9)) for _ in range(60)]
    flights = Flights()
    done = flights.landed()
    for number, batch in enumerate(batches):
        compiled.run_async(None, {"x": rows[batch]}, done, number)
    flights.wait(len(batches))
    for number, batch in enumerate(batches):
        same(flights.results[number], original.run(None, {"x": rows[batch]}), ROUNDING)
    assert one.counted(lambda: compiled.run(None, {"x": rows[batches[0]]}))[1].misses == 0
