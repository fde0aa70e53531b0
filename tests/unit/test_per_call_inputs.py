"""Inputs and an output for single calls: what they do to a graph, the way back, and names that are refused."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import TOWERS, model
from outlining import ALL, CHAIN, outlined

import actcache
from actcache.base.per_call import ACCOUNT, CONTROL, NAMESPACE, PerCall
from actcache.errors import InvalidOption
from actcache.passes.graph.nodes import all_nodes, node_attribute
from actcache.passes.rewrite.inline_regions import inline_regions
from actcache.passes.rewrite.per_call import add_per_call, check_names


def lookups(proto: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    found = [node for node in all_nodes(proto.graph.node) if node.op_type == "CacheLookup"]
    return {node.name.removeprefix("CacheLookup "): node for node in found}


def number(node: onnx.NodeProto, name: str) -> int | None:
    attribute = node_attribute(node, name)
    return None if attribute is None else attribute.i


# -- structure ----------------------------------------------------------------------------------------


def test_nothing_is_changed_without_them() -> None:
    result = outlined(model(TOWERS), {0, 1}, {2})
    before = result.SerializeToString(deterministic=True)
    add_per_call(result, PerCall(), ["r0", "r1"])
    assert result.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("chosen", [*itertools.product([None, NAMESPACE], [None, CONTROL], [None, ACCOUNT])])
def test_every_lookup_gets_what_is_asked_for(chosen: tuple[str | None, str | None, str | None]) -> None:
    per_call = PerCall(*chosen)
    result = outlined(model(TOWERS), {0, 1}, {2})
    plain = {name: list(node.input) for name, node in lookups(result).items()}
    add_per_call(result, per_call, ["r0", "r1"])
    onnx.checker.check_model(result)
    for name, node in lookups(result).items():
        extra = list(node.input)[len(plain[name]) :]
        assert extra == [n for n in (per_call.namespace_input, per_call.control_input) if n]
        for option in ("namespace_input", "control_input"):
            asked = getattr(per_call, option)
            place = number(node, option)
            assert place is None if asked is None else node.input[place or 0] == asked
        assert (number(node, "account") == 1) == (per_call.account_output is not None)
    graph = result.graph
    assert [v.name for v in graph.input] == ["a", "b", *(n for n in chosen[:2] if n)]
    assert [v.name for v in graph.output] == ["y", *(n for n in chosen[2:] if n)]
    assert (CONTROL in {t.name for t in graph.initializer}) == (per_call.control_input is not None)


def test_the_account_has_the_regions_in_the_order_that_is_asked_for() -> None:
    result = outlined(model(TOWERS), {0, 1}, {2})
    add_per_call(result, ALL, ["r1", "r0"])
    joining = result.graph.node[-1]
    assert (joining.op_type, list(joining.input), list(joining.output)) == (
        "Concat",
        ["account@r1", "account@r0"],
        [ACCOUNT],
    )
    shape = result.graph.output[-1].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [2, 3]


def test_the_account_of_a_region_at_any_depth_comes_out() -> None:
    result = outlined(model(CHAIN), {0}, {0, 1}, {0, 1, 2})
    add_per_call(result, ALL, ["r0", "r1", "r2"])
    onnx.checker.check_model(result, full_check=False)
    assert [node.op_type for node in result.graph.node] == ["CacheLookup", "If", "Concat"]
    assert list(result.graph.node[1].output) == ["y", "account@r0@r1@r2", "account@r1@r2"]
    assert list(result.graph.node[2].input) == ["account@r0@r1@r2", "account@r1@r2", "account@r2"]


def test_regions_in_regions_run_and_are_accounted_for() -> None:
    result = outlined(model(CHAIN), {0}, {0, 1}, {0, 1, 2})
    add_per_call(result, ALL, ["r0", "r1", "r2"])
    options = ort.SessionOptions()
    actcache.register(options)
    session = ort.InferenceSession(result.SerializeToString(), options, providers=["CPUExecutionProvider"])
    said = {NAMESPACE: np.array("t")}

    def account(x: list[float]) -> list[list[int]]:
        rows = np.array(x, np.float32)[:, None].repeat(2, 1)
        y, found = session.run(None, {"x": rows, **said})
        assert np.allclose(y, np.abs(np.tanh(-rows)), atol=1e-6)
        return list(found.tolist())

    assert account([1, 2, 1]) == [[0, 2, 0], [0, 2, 0], [1, 2, 0]]
    assert account([2, 1]) == [[0, 0, 0], [0, 0, 0], [2, 0, 0]]
    assert account([3, 1]) == [[0, 1, 0], [0, 1, 0], [1, 1, 0]]
    assert account([]) == [[0, 0, 0]] * 3


# -- the way back -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "per_call", [ALL, PerCall(namespace_input="n"), PerCall(control_input="c", account_output="o")]
)
@pytest.mark.parametrize("granularity", ["row", "tensor"])
@pytest.mark.parametrize(
    ("text", "regions"), [(TOWERS, [{0, 1}, {2}]), (TOWERS, [{0, 1, 2, 3}]), (CHAIN, [{0}, {0, 1}, {0, 1, 2}])]
)
def test_taking_the_regions_out_takes_them_out(
    text: str, regions: list[set[int]], granularity: str, per_call: PerCall
) -> None:
    plain = outlined(model(text), *regions, granularity=granularity)
    result = onnx.ModelProto()
    result.CopyFrom(plain)
    add_per_call(result, per_call, [f"r{number}" for number in range(len(regions))])
    assert inline_regions(plain) and inline_regions(result)
    assert result.SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)


# -- names --------------------------------------------------------------------------------------------

BODIES = """bodies (float[N] x, bool c) => (float[N] y) <float[1] w = {1.0}> {
    t = Mul(x, w)
    y = If(c) <then_branch = one () => (float[N] inner) { inner = Neg(t) }, else_branch = two () => (float[N] e) {
        e = Abs(t) }>
}"""


@pytest.mark.parametrize("name", ["x", "y", "w", "t", "inner"])
@pytest.mark.parametrize("option", ["namespace_input", "control_input", "account_output"])
def test_a_name_that_the_model_has_is_refused(option: str, name: str) -> None:
    with pytest.raises(InvalidOption, match=f"has a tensor '{name}' of its own; give {option} another name"):
        check_names(model(BODIES), PerCall(**{option: name}))
    check_names(model(BODIES), ALL)


@pytest.mark.parametrize("name", ["", "plan@r", "a@b"])
def test_names_that_nobody_can_have_are_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match=f"control_input '{name}'"):
        PerCall(control_input=name)


def test_one_name_for_two_is_refused() -> None:
    with pytest.raises(InvalidOption, match="namespace_input and account_output have the same name"):
        PerCall(namespace_input="same", account_output="same")


def test_the_manifest_names_them_and_anything_else_names_none() -> None:
    assert PerCall().to_manifest() == {}
    for text in (
        "",
        "[]",
        "{",
        "7",
        "{}",
        '{"per_call": 7}',
        '{"per_call": {"more": "x"}}',
        '{"per_call": {"control_input": ""}}',
    ):
        assert PerCall.from_manifest(text) == PerCall()
    found = PerCall.from_manifest('{"version": 1, "per_call": {"namespace_input": "n", "account_output": "o"}}')
    assert found == PerCall(namespace_input="n", account_output="o")
