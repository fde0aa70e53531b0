"""The tool behind ``make mutants``: what it changes, that its lists still fit the code, and that it can fail."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.groups import PYTHON
from tests.mutants.native_break import Break
from tests.mutants.native_copy import unit_of
from tests.mutants.native_lists import GROUPS, LISTS
from tests.mutants.native_switch import switched
from tests.mutants.operators import mutants_of
from tests.mutants.python import chosen, sampled
from tests.mutants.python_marks import REACHED, marked, statements

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
    strict = "for a, b in zip(x, y, strict=True):\n    print(a, b)\n"
    assert [mutant.change for mutant in mutants_of("m.py", strict)] == ["print(a, b) → pass"]


def test_a_mutant_is_the_module_with_one_change() -> None:
    (mutant,) = [m for m in mutants_of("m.py", SOURCE) if m.change == "if x < 3 and x != 1 → if False"]
    assert (mutant.scope, mutant.line, mutant.at_import) == ("guarded", 6, False)
    names: dict[str, object] = {"check": lambda x: None}
    exec(mutant.compiled(SOURCE, "m.py"), names)  # noqa: S102
    with pytest.raises(ValueError, match="less"):
        names["guarded"](2)  # type: ignore[operator]
    assert [m.at_import for m in mutants_of("m.py", SOURCE) if m.scope == ""] == [True, True]


def test_a_mutant_of_an_inner_function_keeps_the_variables_of_the_outer_one() -> None:
    """Or else living functions could not be given its code."""
    source = "def outer(a, b):\n    def inner():\n        return 1 if a else b\n    return inner\n"
    (mutant,) = [m for m in mutants_of("m.py", source) if m.change == "1 if a else b → 1 if False else b"]
    names: dict[str, Any] = {}
    exec(compile(source, "m.py", "exec"), names)  # noqa: S102
    inner = names["outer"](True, 2)
    exec(mutant.compiled(source, "m.py"), names)  # noqa: S102
    inner.__code__ = names["outer"](True, 3).__code__
    assert inner() == 2


def test_marks_tell_what_a_run_executes_and_change_nothing_else() -> None:
    source = "def f(x):\n    if (x\n        > 1):\n        return [x for _ in\n            range(x)]\n    return g()\n"
    assert statements(source) == {2: 2, 3: 2, 4: 4, 5: 4, 6: 6}
    reached: set[tuple[str, int]] = set()
    names: dict[str, Any] = {REACHED: reached, "g": lambda: 0}
    exec(compile(marked(source, "m.py"), "m.py", "exec"), names)  # noqa: S102
    assert names["f"](2) == [2, 2] and reached == {("m.py", 2), ("m.py", 4)}
    assert names["f"](1) == 0 and reached == {("m.py", line) for line in (2, 4, 6)}
    assert names["f"].__code__.co_firstlineno == 1 and not names["f"].__code__.co_freevars


@pytest.mark.parametrize("name", GROUPS)
def test_what_the_lists_change_is_there_once(name: str) -> None:
    """After a change of the C++ sources: mend the entries of the list that the message names, or take them out."""
    assert GROUPS[name]
    assert not problems(GROUPS[name]), f"mend these entries of {LISTS[name]}, or take them out"
    assert len({(one.file, one.change) for one in GROUPS[name]}) == len(GROUPS[name])


def test_every_lock_is_in_some_file_that_is_compiled() -> None:
    units = {unit_of(one.path) for one in GROUPS["locks"]}
    assert len(units) > 10 and all(unit.endswith(".cc") for unit in units)
    assert unit_of("custom_ops/src/tier/fetch_times.h").endswith(".cc")
    with pytest.raises(SystemExit, match="no_such"):
        unit_of("custom_ops/src/no_such.h")


def problems(breaks: list[Break]) -> list[str]:
    by_file: dict[str, dict[int, Break]] = {}
    for number, one in enumerate(breaks, 1):
        by_file.setdefault(one.path, {})[number] = one
    found = []
    for path, some in by_file.items():
        if not Path(path).exists():
            found.append(f"{path} is not there any more: say where its code is now")
            continue
        source = Path(path).read_text()
        try:
            assert all(lines[0] > 1 for lines in switched(source, some).lines.values())
        except LookupError:
            found += [str(problem) for number, one in some.items() if (problem := problem_of(source, number, one))]
    return found


def problem_of(source: str, number: int, one: Break) -> LookupError | None:
    try:
        switched(source, {number: one})
    except LookupError as problem:
        return problem
    return None


def test_what_is_not_there_is_a_problem() -> None:
    gone = Break("hash/hasher.cc", "no  such code", "", "")
    twice = Break("hash/hasher.cc", "hasher", "", "")
    outside = Break("hash/hasher.cc", "#include", "", "")
    moved = Break("hash/no_such_file.cc", "code", "", "")
    (one, two, three, four) = (problems([entry]) for entry in (gone, twice, outside, moved))
    assert "hasher.cc: what a mutant changes is not there any more: no such code" in one[0]
    assert "times" in two[0] and "times" in three[0] and "no_such_file.cc is not there" in four[0]


CODE = """namespace a {
struct B { int c{1}; };
int F(int x) noexcept {
  if (x < 3) return 1;  // not a brace: }
  return x + 2;
}
}
"""


def test_mutants_stand_beside_the_code_behind_a_switch() -> None:
    first = Break("a.cc", "x<3", "x <= 3", "")
    second = Break("a.cc", "return x + 2; }", "return x; }", "")
    made = switched(CODE, {7: first, 8: second})
    bodies = re.split(r"if \(::mutants::Active\((\d+)\)\)", made.text)
    assert bodies[1::2] == ["7", "8"]
    assert "x <= 3" in bodies[2] and "x + 2" in bodies[2]
    unchanged = bodies[4].partition("else")[2]
    assert "x < 3" in bodies[4].partition("else")[0] and "return x;" in bodies[4].partition("else")[0]
    assert "x < 3" in unchanged and "x + 2" in unchanged
    line = made.text.splitlines().index("  if (x <= 3) return 1;  // not a brace: }") + 1
    assert made.mutant_at(line) == 7 and made.mutant_at(1) is None
    with pytest.raises(LookupError, match="not in a function"):
        switched(CODE, {1: Break("a.cc", "c{1}", "c{2}", "")})


def test_white_space_does_not_matter() -> None:
    begin, end, instead = Break("a.cc", "if(x<3)   return 1;", "if (x < 3)  return 5;", "").place(CODE)
    assert (CODE[begin:end].strip(), instead.strip()) == ("1", "5")


def test_a_sample_is_decided_by_its_seed() -> None:
    group = PYTHON["purity"]
    everything = chosen(group, each=0)
    one = sampled(group, size=20, seed=1)
    assert sum(map(len, one.values())) == 20 and one == sampled(group, size=20, seed=1)
    assert one != sampled(group, size=20, seed=2)
    assert all(set(positions) <= set(everything[path]) for path, positions in one.items())
    assert sampled(group, size=10**6, seed=1) == {path: some for path, some in everything.items() if some}


def test_mutants_are_found_by_a_part_of_their_line() -> None:
    group = PYTHON["purity"]
    few, everything = (chosen(group, each=0, only=only) for only in ("if key in RANDOM", ""))
    assert sum(map(len, few.values())) == 2
    assert all(set(positions) <= set(everything[path]) for path, positions in few.items())


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
    task = {module: [changes.index(change) for change in wanted]}
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants.python_tests"],
        input=json.dumps({"chosen": task, "jobs": 2, "tests": [str(test)]}),
        env={**os.environ, "PYTHONPATH": "."},
        text=True,
        capture_output=True,
        check=True,
    )
    results = {said["key"][2]: said["result"] for said in map(json.loads, done.stdout.splitlines())}
    assert results == {wanted[0]: "killed", wanted[1]: "survived: no test runs this line"}
