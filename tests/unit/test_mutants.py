"""The tool behind ``make mutants``: what it changes, that its lists still fit the code, and that it can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.groups import PYTHON
from tests.mutants.native_break import Break
from tests.mutants.native_lists import GROUPS
from tests.mutants.operators import mutants_of

SOURCE = '''
TABLE = {"a", "b"}

def guarded(x: int) -> "str | None":
    """Words."""
    if x < 3 and x != 1:
        return "no"
    check(x)
    raise ValueError("x is less than 3")
'''


def test_every_kind_of_change_is_made() -> None:
    changes = [mutant.change for mutant in mutants_of("m.py", SOURCE)]
    assert len(changes) == len(set(changes))
    assert {
        "{'a', 'b'} → {'b'}",
        "if x < 3 and x != 1 → if False",
        "if x < 3 and x != 1 → if True",
        "x < 3 and x != 1 → x < 3 or x != 1",
        "x < 3 → x <= 3",
        "x != 1 → x == 1",
        "3 → 4",
        "return 'no' → return None",
        "check(x) → pass",
    } <= set(changes)
    assert not [change for change in changes if "Words" in change or "less" in change]


def test_a_mutant_is_the_module_with_one_change() -> None:
    (mutant,) = [m for m in mutants_of("m.py", SOURCE) if m.change == "if x < 3 and x != 1 → if False"]
    assert (mutant.scope, mutant.line, mutant.at_import) == ("guarded", 6, False)
    names: dict[str, object] = {"check": lambda x: None}
    exec(mutant.compiled(SOURCE, "m.py"), names)  # noqa: S102
    with pytest.raises(ValueError, match="less"):
        names["guarded"](2)  # type: ignore[operator]
    assert [m.at_import for m in mutants_of("m.py", SOURCE) if m.scope == ""] == [True, True]


@pytest.mark.parametrize("name", GROUPS)
def test_what_the_lists_change_is_there_once(name: str) -> None:
    assert GROUPS[name]
    for one in GROUPS[name]:
        changed, line = one.applied(Path())
        assert changed != Path(one.path).read_text() and line > 0, one
    assert len({(one.file, one.change) for one in GROUPS[name]}) == len(GROUPS[name])


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(
        LookupError, match=r"exact_keying.cc: what a mutant changes is not there any more: no such code"
    ):
        Break("units/exact_keying.cc", "no  such code", "", "").applied(Path())
    with pytest.raises(LookupError, match="times"):
        Break("units/exact_keying.cc", "hasher", "", "").applied(Path())


def test_white_space_does_not_matter() -> None:
    one = Break(
        "units/exact_keying.cc",
        "Keys   ExactKeying::KeysOf( const Units& units,const std::optional<std::string>&",
        "KEYS(",
        "",
    )
    changed, _ = one.applied(Path())
    assert "KEYS(" in changed and "Keys ExactKeying::KeysOf(" not in changed


@pytest.mark.parametrize("name", PYTHON)
def test_groups_have_modules_and_tests(name: str) -> None:
    assert PYTHON[name].paths() and any(path.endswith(".py") for path in PYTHON[name].arguments())


def test_a_mutant_is_killed_by_a_test_that_notices_and_by_no_other(tmp_path: Path) -> None:
    module = "passes/graph/node_purity.py"
    changes = [m.change for m in mutants_of(module, Path(module).read_text())]
    test = tmp_path / "test_one.py"
    test.write_text(
        "import onnx\nfrom actcache.passes.graph.node_purity import Scope, impurity\n"
        "def test_random():\n"
        "    node = onnx.helper.make_node('RandomNormal', [], ['y'], shape=[1])\n"
        "    assert impurity(node, Scope({'': 18}, lambda name: None))[0] == 'impure-random'\n"
    )
    wanted = ["if key in RANDOM → if False", "if key in STATEFUL → if False"]
    chosen = {module: [changes.index(change) for change in wanted]}
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants.python_tests"],
        input=json.dumps({"chosen": chosen, "jobs": 2, "tests": [str(test)]}),
        env={**os.environ, "PYTHONPATH": "."},
        text=True,
        capture_output=True,
        check=True,
    )
    results = {said["key"][2]: said["result"] for said in map(json.loads, done.stdout.splitlines())}
    assert results == {wanted[0]: "killed", wanted[1]: "survived: no test runs this line"}
