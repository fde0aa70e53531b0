"""Compiled models read back: their regions from the graph, with the nodes and fingerprints that they were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from described import described_model
from graphs import TOWERS, encoder, model
from outlining import ALL, CHAIN, outlined, region_of

import actcache
from actcache.errors import InvalidModel
from actcache.inspection.model_diff import Digests
from actcache.model.compiled_model import CompiledModel, read_compiled
from actcache.passes.cuts import RowCut
from actcache.passes.cuts.conditions import SizeRule
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import fingerprint
from actcache.passes.region import Region
from actcache.passes.rewrite.outline import outline
from actcache.passes.rewrite.per_call import add_per_call


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save_model(proto, path)
    return path


def written_nodes(found: CompiledModel, which: int) -> set[str]:
    nodes = found.nodes(found.lookups[which])
    return {name for index in nodes for name in found.view.writes[index]}


@pytest.mark.parametrize("per_call", [False, True])
def test_regions_inside_each_other(per_call: bool, tmp_path: Path) -> None:
    proto = outlined(model(CHAIN), {1}, {0, 1}, {0, 1, 2})
    if per_call:
        add_per_call(proto, ALL, ["r0", "r1", "r2"])
    found = read_compiled(saved(proto, tmp_path))
    assert [(x.id, x.outer) for x in found.lookups] == [("r2", None), ("r1", "r2"), ("r0", "r1")]
    assert [(x.frontier, x.live_outs) for x in found.lookups] == [(("x",), ("y",)), (("x",), ("b",)), (("a",), ("b",))]
    assert [written_nodes(found, i) for i in range(3)] == [{"a", "b", "y"}, {"a", "b"}, {"b"}]
    assert {(x.cut.frontier_axes, x.cut.live_out_axes) for x in found.lookups} == {((0,), (0,))}
    names = (ALL.namespace_input, ALL.control_input) if per_call else (None, None)
    assert {(x.namespace_input, x.control_input) for x in found.lookups} == {names}
    assert found.view.inputs == ("x",)
    assert found.manifest is None


def test_size_equations(tmp_path: Path) -> None:
    view = GraphView(
        model("g (float[N, S] a, float[N, T] b) => (float[N] y) { c = Concat<axis = 1>(a, b) y = ReduceSum(c) }")
    )
    sizes = (SizeRule((1, 1), 3, ((0, 1),)), SizeRule((0, 1), 7, ()))
    region = Region("r", frozenset({0, 1}), ("a", "b"), ("y",), RowCut((0, 0), (0,), sizes=sizes))
    outline(view, region, "f" * 64)
    (lookup,) = read_compiled(saved(view.model, tmp_path)).lookups
    assert lookup.cut == region.cut  # without ranks, as in models compiled before they were written
    assert lookup.equation_texts() == ["b[1] = a[1] + 3", "a[1] = 7"]


def test_ranks_and_names_of_rows(tmp_path: Path) -> None:
    view = GraphView(
        model("g (float[N, 2] a, float[M, 2] b, float s) => (float[N, 2] y) { c = Add(a, b) y = Mul(c, s) }")
    )
    cut = RowCut((0, 0, None), (0,), ranks=(2, None, 0), min_units=2)
    region = Region("r", frozenset({0, 1}), ("a", "b", "s"), ("y",), cut)
    outline(view, region, "f" * 64)
    (lookup,) = read_compiled(saved(view.model, tmp_path)).lookups
    assert lookup.cut == cut
    assert lookup.ranks() == {"a": 2, "s": 0}
    sizes = {v.name: [d.dim_param for d in v.type.tensor_type.shape.dim] for v in view.model.graph.value_info}
    assert sizes["a@r"][0] == "rows@r" and sizes["b@r"][0] == "rows.2@r"  # the model does not call them equal


@pytest.mark.parametrize("granularity", ["row", "tensor"])
@pytest.mark.parametrize("single_file", [False, True])
def test_nodes_and_fingerprints_are_those_of_the_compilation(
    granularity: str, single_file: bool, tmp_path: Path
) -> None:
    proto = encoder(width=768)  # large enough for weights in a file of their own
    result = actcache.compile_model(
        saved(proto, tmp_path), granularity=granularity, min_saving=0, single_file=single_file, verify=False
    )
    found = read_compiled(result.output)
    assert bool(found.data_files) != single_file
    for lookup, region in zip(found.lookups, result.regions, strict=True):
        mine = fingerprint(found.view, found.nodes(lookup), lookup.live_outs, Digests(found))
        assert mine == lookup.fingerprint == region.fingerprint
        assert len(found.nodes(lookup)) == len(region.candidate.region.nodes)


def test_local_functions_are_looked_into(tmp_path: Path) -> None:
    result = actcache.compile_model(saved(described_model(), tmp_path), min_saving=0, verify=False)
    found = read_compiled(result.output)
    for lookup in found.lookups:
        assert fingerprint(found.view, found.nodes(lookup), lookup.live_outs, Digests(found)) == lookup.fingerprint
    operators = {found.view.model.graph.node[i].op_type for x in found.lookups for i in found.nodes(x)}
    assert "Tanh" in operators and "block" not in operators


def test_a_model_that_was_not_compiled(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"model\.onnx: this model was not compiled by actcache; 'actcache compile"):
        read_compiled(saved(model(TOWERS), tmp_path))


def without_if(proto: onnx.ModelProto) -> None:
    del proto.graph.node[[node.op_type for node in proto.graph.node].index("If")]


def without_attribute(proto: onnx.ModelProto) -> None:
    lookup = next(node for node in proto.graph.node if node.op_type == "CacheLookup")
    del lookup.attribute[[a.name for a in lookup.attribute].index("fingerprint")]


def without_producer(proto: onnx.ModelProto) -> None:
    branch = next(a.g for n in proto.graph.node if n.op_type == "If" for a in n.attribute if a.name == "then_branch")
    del branch.node[0]
    branch.node[0].output[0] = "another"


@pytest.mark.parametrize("change", [without_if, without_attribute, without_producer])
def test_a_model_that_was_changed_since(change: object, tmp_path: Path) -> None:
    view = GraphView(model("g (float[N, 2] x) => (float[N, 2] y) { a = Neg(x) y = Tanh(a) }"))
    outline(view, region_of(view, {0, 1}), "f" * 64)
    change(view.model)  # type: ignore[operator]
    with pytest.raises(InvalidModel, match=r"model\.onnx: .*(compiled by actcache and changed|lost its If)"):
        read_compiled(saved(view.model, tmp_path))


def test_digests_are_made_of_what_lies_there(tmp_path: Path) -> None:
    result = actcache.compile_model(saved(encoder(width=768), tmp_path), min_saving=0, verify=False)
    digests = Digests(read_compiled(result.output))
    assert len(digests) == 3 == len(set(digests.values()))
    with pytest.raises(KeyError):
        digests[1]
    assert np.all([offset % 4096 == 0 for offset in digests])
