"""Mutants of what runs when a module is imported: registrations, tables, defaults.

The quick way runs the changed module once more in a fork: what it registers takes the place of what it registered.
Others that imported names of it keep the old ones, so a mutant that survives there is tried once more in a new process,
which imports the changed module from the start.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL
from types import CodeType
from typing import Any

import pytest

from tests.mutants.operators import Mutant, mutants_of


def imported_name(module: str) -> str:
    """The name by which a file of the repository is imported."""
    return "actcache." + module.removesuffix(".py").replace("/", ".")


def file_names(module: str) -> list[str]:
    """The names that a module's file has: ``actcache/passes`` is a link, and the module is imported by it."""
    return [str(Path.cwd() / "actcache" / module), str(Path.cwd() / module)]


def may_run_again(source: str) -> bool:
    """Whether a module defines no class: others would hold the old one, and no instance of the new one would do."""
    return not any(isinstance(node, ast.ClassDef) for node in ast.parse(source).body)


def run_again(module: str, code: CodeType, unchanged: CodeType) -> None:
    """Run a module's code in place of its `unchanged` code, in this process, which is a fork."""
    from actcache.passes.rows.registry import RULES

    names = sys.modules[imported_name(module)].__dict__
    rules = dict(RULES)
    RULES.clear()
    exec(unchanged, names)  # noqa: S102
    own = set(RULES)
    RULES.clear()
    RULES.update({key: rule for key, rule in rules.items() if key not in own})
    exec(code, names)  # noqa: S102


def in_new_process(module: str, position: int, tests: list[str]) -> subprocess.Popen[str]:
    """Start the trial of a mutant in a process that knows no module yet; it ends with 0 if no test notices.

    Args:
        module: Path of the module.
        position: The mutant's, in the list of the module's mutants.
        tests: Names of the tests, the quickest first.
    """
    call = "import json, sys; from tests.mutants.python_imports import try_import; try_import(*json.load(sys.stdin))"
    command = [sys.executable, "-c", call]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, stdout=DEVNULL, stderr=DEVNULL)
    assert child.stdin is not None
    with child.stdin as told:
        json.dump([module, position, tests], told)
    return child


def try_import(module: str, position: int, tests: list[str]) -> None:
    """Try one mutant in this process; ends with status 0 if no test notices."""
    source = Path(module).read_text()
    sys.meta_path.insert(0, _ChangedImport(mutants_of(module, source)[position], source))
    files = list(dict.fromkeys(name.partition("::")[0] for name in tests))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        status = pytest.main(["-q", "-p", "no:cacheprovider", "-x", *files], plugins=[_Only(tests)])
    sys.exit(int(status))


class _ChangedImport:
    """Imports one module in its changed form."""

    def __init__(self, mutant: Mutant, source: str) -> None:
        self.mutant, self.source = mutant, source

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """As importlib asks of a finder."""
        if name != imported_name(self.mutant.path):
            return None
        loader: Any = self
        return importlib.util.spec_from_loader(name, loader, origin=file_names(self.mutant.path)[0])

    def create_module(self, spec: Any) -> None:
        """Leave it to importlib."""

    def exec_module(self, module: Any) -> None:
        """Run the changed code."""
        module.__file__ = module.__spec__.origin
        exec(self.mutant.compiled(self.source, module.__file__), module.__dict__)  # noqa: S102


class _Only:
    """The pytest plugin that runs certain tests, in their order."""

    def __init__(self, names: list[str]) -> None:
        self.places = {name: place for place, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """As pytest asks."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.places), key=lambda item: self.places[item.nodeid]
        )
