"""A real compiled model while Runs end half-way, sessions come and go, budgets change and processes are killed."""

# mypy: no-warn-return-any
from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hand_written import Control

import actcache
from models import Feed, feed
from models.fetch import fetch

NAME = "paraphrase_minilm_l3"
#: As in test_real_models: batches of other sizes differ by rounding.
TOLERANCE = 1e-4
_SEEDS = itertools.count(70_000)
Outputs = list[np.ndarray]


@dataclass(frozen=True)
class Model:
    path: Path
    original: ort.InferenceSession
    session: ort.InferenceSession

    def new_session(self) -> ort.InferenceSession:
        return load(self.path)

    def misses(self) -> int:
        return sum(region["misses"] for region in actcache.stats()["regions"].values())

    def check(self, given: Feed, session: ort.InferenceSession | None = None) -> Outputs:
        """The outputs of the compiled model, which have to be the original's."""
        outputs = (session or self.session).run(None, given)
        for got, expected in zip(outputs, self.original.run(None, given), strict=True):
            assert got.shape == expected.shape
            assert np.abs(got - expected).max(initial=0) <= TOLERANCE * max(1, np.abs(expected).max(initial=0))
        return outputs


def load(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # the errors are meant
    options.register_custom_ops_library(actcache.library_path())
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("under_fire") / "texts.onnx"
    actcache.compile_model(fetch(NAME), path, samples=[feed(NAME, 3, seed=0, size=24)], verify=False)
    original = ort.InferenceSession(str(fetch(NAME)), providers=["CPUExecutionProvider"])
    return Model(path, original, load(path))


@pytest.fixture(autouse=True)
def _nothing_stays(control: Control, model: Model) -> Iterator[None]:
    """Whatever a test does, the store can be emptied afterwards: no entry and no draft is held.

    What a failed run has found, if it is large, is held until the memory of its plan is given to another run. Where
    several ran at once, it takes as many to be given all of it.
    """
    control.invalidate()
    control.configure("bypass", "off")  # a busy machine must not make a test vacuous
    yield
    control.invalidate()
    assert actcache.stats()["store"]["bytes"] == 0 or control.is_emptied_by(
        lambda _: at_once(*(lambda: model.check(fresh(4)),) * 5)
    )


def fresh(rows: int, size: int = 24) -> Feed:
    return feed(NAME, rows, seed=next(_SEEDS), size=size)


def take(full: Feed, rows: list[int]) -> Feed:
    return {name: values[rows] for name, values in full.items()}


def at_once(*work: Callable[[], object]) -> None:
    """Runs all of them at the same time; what one raises is raised."""
    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(one) for one in work]:
            done.result()


def fails(run: Callable[[], object], reason: str) -> bool:
    """Whether it does, for this reason; what it raises otherwise is raised."""
    try:
        run()
    except Exception as error:
        if reason not in str(error):
            raise
        return True
    return False


def test_a_run_that_is_terminated_in_the_region(model: Model) -> None:
    terminated = 0
    for _ in range(20):
        given, before = fresh(32, size=128), model.misses()
        options = ort.RunOptions()

        def stop(before: int = before, options: ort.RunOptions = options) -> None:
            while model.misses() == before:  # counted when the lookup is over
                time.sleep(0.0005)
            options.terminate = True

        stopper = threading.Thread(target=stop)
        stopper.start()
        terminated += fails(lambda: model.session.run(None, given, options), "terminate")  # noqa: B023
        stopper.join()
        cold = model.check(take(given, [0, 3, 3]))
        assert [output.tobytes() for output in model.check(take(given, [0, 3, 3]))] == [o.tobytes() for o in cold]
        if terminated >= 2:
            return
    pytest.fail("no Run was caught in the region")


def test_a_run_that_a_node_of_the_region_fails(model: Model) -> None:
    known, given = fresh(2), fresh(3)
    model.check(known)
    broken = {name: np.concatenate([known[name], given[name]]) for name in known}
    broken["input_ids"][3, 1] = 10**6  # beyond the vocabulary
    held = actcache.stats()["store"]["bytes"]
    for _ in range(3):
        with pytest.raises(Exception, match="Gather"):
            model.session.run(None, broken)
        assert actcache.stats()["store"]["bytes"] == held
    before = model.misses()
    model.check(known)
    assert model.misses() == before
    model.check(given)
    assert model.misses() == before + 3


def test_failing_runs_beside_others(model: Model) -> None:
    pool = fresh(8)

    def fail(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(10):
            broken = take(pool, generator.integers(0, 8, 4).tolist())
            broken["input_ids"][0, 1] = 10**6
            with pytest.raises(Exception, match="Gather"):
                model.session.run(None, broken)

    def succeed(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(10):
            model.check(take(pool, generator.integers(0, 8, 4).tolist()))

    at_once(*(lambda n=n: fail(n) for n in range(2)), *(lambda n=n: succeed(n) for n in range(3)))


def test_warm_outputs_of_many_threads_are_the_cold_ones(model: Model) -> None:
    pool = fresh(16)
    cold = model.check(pool)

    def work(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(25):
            rows = generator.integers(0, 16, generator.integers(1, 9)).tolist()
            for got, all_rows in zip(model.session.run(None, take(pool, rows)), cold, strict=True):
                assert got.tobytes() == all_rows[rows].tobytes()

    before = model.misses()
    at_once(*(lambda n=n: work(n) for n in range(8)))
    assert model.misses() == before


@pytest.mark.parametrize("budget", [0, 1, 4096, 40_000])
def test_tiny_budgets(model: Model, control: Control, budget: int) -> None:
    control.configure("budget_bytes", str(budget))
    pool = fresh(6)

    def work(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(6):
            model.check(take(pool, generator.integers(0, 6, 3).tolist()))
            assert actcache.stats()["store"]["bytes"] <= budget

    at_once(*(lambda n=n: work(n) for n in range(4)))


def test_sessions_come_and_go_while_others_run_and_the_store_is_emptied(model: Model, control: Control) -> None:
    pool = fresh(6)
    done = threading.Event()

    def stay(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(15):
            model.check(take(pool, generator.integers(0, 6, 3).tolist()))

    def come_and_go() -> None:
        for row in range(6):
            session = model.new_session()
            model.check(take(pool, [row, 0]), session)
            del session

    def disturb() -> None:
        while not done.wait(0.02):
            control.invalidate()
            control.configure("budget_bytes", "20000")
            control.configure("budget_bytes", "256MiB")

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        at_once(lambda: stay(1), lambda: stay(2), come_and_go)
    finally:
        done.set()
        disturbing.join()


def test_a_killed_process_leaves_nothing_behind(model: Model, tmp_path: Path) -> None:
    code = f"""
import sys
import numpy as np
import actcache
from models import feed
session = actcache.InferenceSession({str(model.path)!r})
for seed in range(10**6):
    session.run(None, feed({NAME!r}, 4, seed=seed % 40, size=24))
    if seed == 50:
        print(sum(region["hits"] for region in actcache.stats()["regions"].values()), flush=True)
"""
    shared_before = set(Path("/dev/shm").iterdir())
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    for _ in range(2):  # the second one finds nothing of the first
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{11 * 4}\n"
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        left = {file.name for file in tmp_path.iterdir()}
        assert left <= {".ses", ".cache"}  # onnxruntime's own
        assert not [file for file in set(Path("/dev/shm").iterdir()) - shared_before if "actcache" in file.name]
