"""What is mutated, and which tests have to notice: the one place where paths stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: The row prover's own folder.
ROWS = "passes/rows"
#: What the C++ lists name their files relative to.
NATIVE = "custom_ops/src"

#: Python tests that run the operators in onnxruntime, by the group of C++ mutants: tried where the C++ tests notice
#: nothing. The ones that are most likely to notice stand first, as time may end before the last.
_NATIVE_PYTHON = {
    "keys": ("test_isolation.py", "test_session_*.py", "test_stated_models.py", "test_operators.py"),
    "lookup": (
        "test_operators.py",
        "test_per_call.py",
        "test_verified_hits.py",
        "test_stated_sizes.py",
        "test_ages.py",
    ),
    "store": ("test_control.py", "test_ages.py", "test_audit.py", "test_single_flight.py"),
    "tiers": ("test_tier_identity.py", "test_disk_tier.py", "test_remote_tier.py"),
}

_ROW_TESTS = "tests/unit/test_rows_*.py"
#: Asserts how times compare, which depends on what else the machine does.
_TIMED = "tests/unit/test_rows_control.py::test_time_grows_linearly"
#: These hold what is said of samples to onnxruntime. That anything else is said, test_rows_told.py notices, of the same
#: samples and in a tenth of the time.
_SLOW = {f"test_rows_{name}.py" for name in ("models", "rules", "traps", "truth", "variants")}


@dataclass(frozen=True)
class PythonGroup:
    """Python modules that are mutated everywhere.

    Attributes:
        promise: What they are for, for the table.
        modules: Patterns of paths.
        tests: Patterns of paths of test files.
    """

    promise: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def paths(self) -> list[str]:
        """Return the modules, of which each pattern must give some."""
        return _found(self.modules)

    def arguments(self) -> list[str]:
        """Return pytest's arguments."""
        return [*(path for path in _found(self.tests) if Path(path).name not in _SLOW), "--deselect", _TIMED]


def native_python_tests(group: str) -> list[str]:
    """Return the files of tests that run the C++ library in onnxruntime, for a group of C++ mutants."""
    return _found(tuple(f"tests/end_to_end/{name}" for name in _NATIVE_PYTHON[group]))


def _found(patterns: tuple[str, ...]) -> list[str]:
    paths: list[str] = []
    for pattern in patterns:
        some = sorted(str(path) for path in Path().glob(pattern))
        if not some:
            raise SystemExit(f"tests/mutants/groups.py: there is no file {pattern}; say where it is now")
        paths += [path for path in some if path not in paths and Path(path).name != "__init__.py"]
    return paths


_PROVER = "analysis broadcasting hypotheses joining loops named_sizes registry sizes state"

PYTHON: dict[str, PythonGroup] = {
    "rules": PythonGroup("rules of operators: rows or refusal", (f"{ROWS}/rules_*.py",), (_ROW_TESTS,)),
    "prover": PythonGroup(
        "the prover that applies them", tuple(f"{ROWS}/{name}.py" for name in _PROVER.split()), (_ROW_TESTS,)
    ),
    "purity": PythonGroup(
        "what may be skipped at all",
        ("passes/purity.py", "passes/graph/node_purity.py"),
        ("tests/unit/test_purity*.py", "tests/unit/test_local_functions.py"),
    ),
    "fingerprint": PythonGroup(
        "what makes two regions the same",
        ("passes/identity/fingerprint.py",),
        ("tests/unit/test_fingerprint.py", "tests/unit/test_purity_bodies.py", "tests/unit/test_local_functions.py"),
    ),
}
