"""Models that onnxruntime runs although ONNX's checker would not: a domain spelled otherwise, nodes in any order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import actcache
from actcache.errors import InvalidModel

WEIGHTS = ", ".join(str((i * 7 % 13) / 13 - 0.4) for i in range(64))
HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 8] x, bool c) => (float[N, 8] y, float[N, 8] z)\n'
PLAIN = f"""{HEAD} <float[8, 8] w = {{{WEIGHTS}}}> {{
    a = MatMul(x, w)
    b = Tanh(a)
    e, f = Split<axis = 1>(b)
    d = Concat<axis = 1>(f, e)
    y = MatMul(d, w)
    z = Neg(y)
}}"""
BRANCHING = f"""{HEAD} <float[8, 8] w = {{{WEIGHTS}}}> {{
    a = MatMul(x, w)
    y = If (c) <
        then_branch = yes () => (float[N, 8] s) {{ p = Exp(a) s = MatMul(p, w) }},
        else_branch = no () => (float[N, 8] t) {{ t = Neg(a) }}
    >
    z = Neg(y)
}}"""
CALLING = f"""<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
g (float[N, 8] x, bool c) => (float[N, 8] y, float[N, 8] z) <float[8, 8] w = {{{WEIGHTS}}}> {{
    a = own.f(x, w)
    y = own.f(a, w)
    z = Neg(y)
}}
<domain: "own", opset_import: ["" : 17]> f (p, q) => (r) {{ s = MatMul(p, q) r = Tanh(s) }}"""

Change = Callable[[onnx.ModelProto], None]


def spell_nodes(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.domain = node.domain or "ai.onnx"


def spell_imports(model: onnx.ModelProto) -> None:
    for opset in model.opset_import:
        opset.domain = opset.domain or "ai.onnx"


def spell_all(model: onnx.ModelProto) -> None:
    spell_nodes(model)
    spell_imports(model)


def import_both(model: onnx.ModelProto) -> None:
    spell_nodes(model)
    model.opset_import.add(domain="ai.onnx", version=17)


def turn(model: onnx.ModelProto) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])


def turn_and_spell(model: onnx.ModelProto) -> None:
    turn(model)
    spell_all(model)


def repeat_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer.extend(list(model.graph.initializer))


CASES = [
    (PLAIN, spell_nodes),
    (PLAIN, import_both),
    (PLAIN, turn_and_spell),
    (PLAIN, repeat_weights),
    (BRANCHING, turn),
    (CALLING, turn),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], actcache.CompileResult]:
    """Compiles a model as it is written here."""

    @cache
    def compiled(text: str) -> actcache.CompileResult:
        source = tmp_path_factory.mktemp("plain") / "model.onnx"
        onnx.save(onnx.parser.parse_model(text), source)
        return actcache.compile_model(source, min_saving=0, verify=False)

    return compiled


@pytest.mark.parametrize(("text", "change"), CASES)
def test_what_onnxruntime_takes_is_compiled(
    text: str, change: Change, plain: Callable[[str], actcache.CompileResult], tmp_path: Path
) -> None:
    changed = tmp_path / "model.onnx"
    proto = onnx.parser.parse_model(text)
    change(proto)
    onnx.save(proto, changed)
    reference = ort.InferenceSession(str(changed), providers=["CPUExecutionProvider"])
    result = actcache.compile_model(changed, min_saving=0)
    found, wanted = result.regions, plain(text).regions
    assert [r.fingerprint for r in found] == [r.fingerprint for r in wanted] != []
    assert [r.candidate.region.granularity for r in found] == [r.candidate.region.granularity for r in wanted]
    session = actcache.InferenceSession(str(result.output), providers=["CPUExecutionProvider"])
    for rows, flag in ((4, True), (4, True), (6, False), (1, True)):
        x = np.random.default_rng(0).standard_normal((rows, 8)).astype(np.float32)
        feed = {"x": x, "c": np.array(flag)}
        feed = {value.name: feed[value.name] for value in reference.get_inputs()}
        for mine, wanted in zip(session.run(None, feed), reference.run(None, feed), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-5)


def test_what_is_not_cached_stays_as_it_was_spelled(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(PLAIN)
    spell_all(proto)
    onnx.save(proto, tmp_path / "model.onnx")
    region = actcache.RegionSpec("r", ("x",), ("b",))
    result = actcache.compile_model(tmp_path / "model.onnx", regions=[region])
    written = onnx.load(result.output)
    outside = {node.op_type: node.domain for node in written.graph.node}
    assert {name: outside[name] for name in ("Split", "Concat", "MatMul", "Neg")} == dict.fromkeys(
        ("Split", "Concat", "MatMul", "Neg"), "ai.onnx"
    )
    assert {o.domain: o.version for o in written.opset_import} == {"ai.onnx": 17, "ai.actcache": 1}
    again = actcache.compile_model(result.output, tmp_path / "again.onnx", regions=[region])
    assert again.regions[0].fingerprint == result.regions[0].fingerprint


def test_nodes_that_read_each_other_are_refused(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(PLAIN)
    proto.graph.node[1].input[0] = "d"
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(Exception, match="acyclic"):
        ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    with pytest.raises(InvalidModel, match=r"model\.onnx: its nodes read each other's results in a circle") as refused:
        actcache.compile_model(tmp_path / "model.onnx")
    assert refused.value.hint is not None  # as where the circle was found


def test_two_weights_of_one_name_are_refused(tmp_path: Path) -> None:
    """onnxruntime runs it, with one or the other: 1.18 takes the last, 1.32 the first."""
    proto = onnx.parser.parse_model(PLAIN)
    other = onnx.numpy_helper.from_array(np.eye(8, dtype=np.float32), "w")
    proto.graph.initializer.append(other)
    onnx.save(proto, tmp_path / "model.onnx")
    ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    with pytest.raises(InvalidModel, match=r"model\.onnx: two different weights are named 'w'"):
        actcache.compile_model(tmp_path / "model.onnx", verify=False)
