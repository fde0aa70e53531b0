"""Session options of onnxruntime that change how a model runs and not what it computes."""

# mypy: disable-error-code="misc"
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnxruntime as ort
import pytest
from hosts import WIDTH, Counts, drawn, options, same, stack, towers

Change = Callable[[ort.SessionOptions], None]


def _set(**attributes: object) -> Change:
    def change(made: ort.SessionOptions) -> None:
        for name, value in attributes.items():
            setattr(made, name, value)

    return change


def _entry(name: str, value: str) -> Change:
    return lambda made: made.add_session_config_entry(name, value)


LEVELS = {name: level for name, level in vars(ort.GraphOptimizationLevel).items() if name.startswith("ORT_")}
CHANGES: dict[str, Change] = {
    "no memory pattern": _set(enable_mem_pattern=False),
    "no arena": _set(enable_cpu_mem_arena=False),
    "no reuse of memory": _set(enable_mem_reuse=False),
    "neither": _set(enable_mem_pattern=False, enable_cpu_mem_arena=False, enable_mem_reuse=False),
    "parallel": _set(execution_mode=ort.ExecutionMode.ORT_PARALLEL, inter_op_num_threads=3),
    "priority": _set(execution_order=ort.ExecutionOrder.PRIORITY_BASED),
    "verbose": _set(log_severity_level=0, log_verbosity_level=2),
    "deterministic": _set(use_deterministic_compute=True),
    "no prepacking": _entry("session.disable_prepacking", "1"),
    "no spinning": _entry("session.intra_op.allow_spinning", "0"),
    "spinning": _entry("session.intra_op.allow_spinning", "1"),
    "denormals as zero": _entry("session.set_denormal_as_zero", "1"),
    "spinning stops": _entry("session.force_spinning_stop", "1"),
    "small blocks": _entry("session.dynamic_block_base", "4"),
    "affinity": _entry("session.intra_op_thread_affinities", "1"),
    "device allocator for initializers": _entry("session.use_device_allocator_for_initializers", "1"),
    "env allocators": _entry("session.use_env_allocators", "1"),
    "no quantised folding": _entry("session.disable_quant_qdq", "1"),
    "strict shapes": _entry("session.strict_shape_type_inference", "1"),
    "ahead of time functions off": _entry("session.disable_aot_function_inlining", "1"),
    **{name: _set(graph_optimization_level=level) for name, level in LEVELS.items()},
}


@pytest.mark.parametrize("name", CHANGES)
def test_models_run_as_before(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(LEVELS) >= 4
    if name == "env allocators":
        _shared_allocator()

    def changed() -> ort.SessionOptions:
        made = options(2)
        CHANGES[name](made)
        return made

    for one, inputs in ((stack(), "x"), (towers(), "ab")):
        original, compiled = one.plain(changed()), one.session(changed())
        feed = {name: drawn(6, WIDTH, seed=number) for number, name in enumerate(inputs)}
        one.check(original, compiled, feed, 1e-6)
    capfd.readouterr()


@cache
def _shared_allocator() -> None:
    """One arena of the process that sessions may share; onnxruntime refuses a second one."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(0, -1, -1, -1))


def test_sessions_of_different_thread_counts_share_entries() -> None:
    one = stack()
    original = one.plain()
    x = drawn(9, WIDTH)
    wanted = original.run(None, {"x": x})
    for number, threads in enumerate((1, 2, 3, 4)):
        session = one.session(options(threads))
        for call in range(2):  # in the first, what another session has stored is compared
            got, counts = one.counted(lambda session=session: session.run(None, {"x": x}))
            assert counts == (Counts(0, 9) if call == 0 else Counts(9, 0)), number
            same(got, wanted, 1e-6)


def test_a_profile_names_the_operators(tmp_path: Path) -> None:
    made = options()
    made.enable_profiling = True
    made.profile_file_prefix = str(tmp_path / "profile")
    one = stack()
    original, compiled = one.plain(), one.session(made)
    one.check(original, compiled, {"x": drawn(5, WIDTH)}, 1e-6)
    written = Path(compiled.end_profiling()).read_text()
    assert "CacheLookup" in written and "CacheStore" in written


@pytest.mark.parametrize("rows", [3, 7])
def test_a_batch_that_the_session_fixes(rows: int) -> None:
    """A free dimension may be given a size when the session is made."""
    made, both = options(), options()
    for each in (made, both):
        each.add_free_dimension_override_by_name("N", rows)
    one = stack()
    original, compiled = one.plain(both), one.session(made)
    x = drawn(2 * rows, WIDTH)
    for begin, counts in [(0, Counts(0, rows)), (0, Counts(rows, 0)), (1, Counts(rows - 1, 1))]:
        feed = {"x": x[begin : begin + rows]}
        got, found = one.counted(lambda feed=feed: compiled.run(None, feed))
        assert found == counts
        same(got, original.run(None, feed), 1e-6)
    for session in (original, compiled):
        with pytest.raises(Exception, match=r"(?i)dimension"):
            session.run(None, {"x": x[: rows - 1]})


def test_provider_options_of_the_cpu() -> None:
    one = stack()
    original = one.plain()
    compiled = one.session(providers=[("CPUExecutionProvider", {"use_arena": "0"})])
    one.check(original, compiled, {"x": drawn(5, WIDTH)}, 1e-6)
