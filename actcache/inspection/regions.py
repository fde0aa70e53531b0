"""What a compiled model caches, without running it and without its weights (``actcache inspect``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import onnx

from actcache.model.compiled_model import CompiledModel, Lookup, read_compiled
from actcache.model.manifest import region_entry
from actcache.passes.cuts import PrefixCut
from actcache.passes.graph.nodes import type_name
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView

#: What only the manifest knows: of the model, and of a region.
_RECORDED = "schema actcache onnxruntime original policy verify trace milliseconds measured".split()
_MEASURED = "time_share milliseconds saving_ms rows read_bytes entry_bytes predicted_reuse measured_reuse".split()


def inspect_model(path: str | PathLike[str]) -> dict[str, Any]:
    """Return what a compiled model caches.

    Keys, of which none goes away and all are always there (null: not recorded):

    - ``model``: the file. ``notes``: what is wrong with it, in sentences.
    - ``schema``, ``actcache``, ``onnxruntime``, ``original``, ``policy``, ``verify``, ``trace``, ``milliseconds``,
      ``measured``: as in the manifest (:mod:`actcache.model.manifest`).
    - ``per_call``: ``namespace_input``, ``control_input``, ``account_output``: names, null where it has none.
    - ``inputs``, ``outputs``: of the model that was compiled: ``name``, ``type``, ``shape`` (null: unknown).
    - ``weights``: files of external data: ``file``, ``bytes`` that the model needs, ``present``.
    - ``regions``, a region before those inside it: ``id``, ``granularity``, ``fingerprint``, ``cone`` (the inputs that
      it depends on), ``frontier``, ``live_outs`` (as ``inputs``, with ``row_axis``, ``position_axis``), ``states``
      (what entries of positions hold besides, likewise), ``ends`` (what those of a call's last positions hold besides,
      likewise), ``finals`` (what is given of the last position of a call alone, such as the last h and c of an LSTM, as
      ``inputs``), ``block`` (positions of an entry; null: it is of none),
      ``size_equations``, ``ranks`` (tensor to how many axes it needs for entries per row or position, where calls are
      checked for it), ``min_rows`` (calls of fewer rows share no entries with others), ``nodes``, ``operators`` (type
      to how many),
      ``inside`` (id of the region around it), ``contains`` (ids), ``branch`` (of a region in a branch of an If:
      ``condition``, the tensor that decides, and ``taken_if``, its value; null for others); then, on the sample that
      was compiled with, ``time_share``, ``milliseconds``, ``rows``, per row ``saving_ms``, ``read_bytes`` and
      ``entry_bytes``; and from a trace ``predicted_reuse`` and ``measured_reuse``.

    Raises:
        InvalidModel: As :func:`actcache.model.compiled_model.read_compiled`.
    """
    model = read_compiled(Path(path))
    manifest = model.manifest or {}
    weights = _weights(model)
    graph = model.view.model.graph
    return {
        "model": str(model.path),
        **{key: manifest.get(key) for key in _RECORDED},
        "per_call": _per_call(model.lookups, manifest),
        "inputs": [_described(model.view, name) for name in model.view.inputs],
        "outputs": [_described(model.view, value.name) for value in graph.output],
        "weights": weights,
        "regions": [_region(model, lookup) for lookup in model.lookups],
        "notes": [*_notes(model), *_missing(weights)],
    }


def _per_call(lookups: Sequence[Lookup], manifest: Mapping[str, Any]) -> dict[str, str | None]:
    """Inputs as the operators have them: they decide. Only the manifest knows the output by its name."""
    return {
        "namespace_input": lookups[0].namespace_input,
        "control_input": lookups[0].control_input,
        "account_output": manifest["per_call"].get("account_output") if manifest else None,
    }


def _region(model: CompiledModel, lookup: Lookup) -> dict[str, Any]:
    nodes, view = model.nodes(lookup), model.around(lookup)
    operators = Counter(_operator(view.model.graph.node[index]) for index in sorted(nodes))
    entry = region_entry(model.manifest, lookup.id)
    read, given = lookup.cut.position_axes
    ends = _ends(lookup)
    kept = _tensors(view, (*lookup.live_outs, *lookup.states), lookup.cut.live_out_axes, given)
    kept = [{**tensor, **ends.get(tensor["name"], {})} for tensor in kept]
    states = kept[len(lookup.live_outs) :]
    return {
        "id": lookup.id,
        "granularity": lookup.cut.granularity,
        "fingerprint": lookup.fingerprint,
        "cone": _cone(model, lookup),
        "frontier": _tensors(view, lookup.frontier, lookup.cut.frontier_axes, read),
        "live_outs": kept[: len(lookup.live_outs)],
        "states": [state for state in states if state["name"] not in ends],
        "ends": [state for state in states if state["name"] in ends],
        "finals": [_described(view, name) for name in lookup.finals],
        "block": lookup.cut.block if isinstance(lookup.cut, PrefixCut) else None,
        "size_equations": lookup.equation_texts(),
        "ranks": lookup.ranks(),
        "min_rows": lookup.cut.min_units,
        "nodes": len(nodes),
        "operators": dict(operators.most_common()),
        "inside": lookup.outer,
        "contains": [other.id for other in model.lookups if other.outer == lookup.id],
        "branch": _branch(model, lookup),
        **{key: entry.get(key) for key in _MEASURED},
    }


def _ends(lookup: Lookup) -> dict[str, dict[str, Any]]:
    """What is known behind the last position of a call alone: it is none of the model's tensors."""
    if not isinstance(lookup.cut, PrefixCut) or not lookup.cut.ends:
        return {}
    types, sizes = lookup.live_out_types, lookup.cut.live_out_sizes
    kept = list(zip((*lookup.live_outs, *lookup.states), types, sizes, strict=True))
    return {name: {"type": type_name(each), "shape": list(shape)} for name, each, shape in kept[-lookup.cut.ends :]}


def _cone(model: CompiledModel, lookup: Lookup) -> list[str]:
    by_tensor = model.cones(lookup)
    return sorted(frozenset().union(*(by_tensor.get(name, frozenset()) for name in lookup.frontier)))


def _branch(model: CompiledModel, lookup: Lookup) -> dict[str, Any] | None:
    if lookup.branch is None:
        return None
    return {"condition": model.condition(lookup), "taken_if": lookup.branch.taken_if}


def _operator(node: onnx.NodeProto) -> str:
    domain = canonical_domain(node.domain)
    return f"{domain}.{node.op_type}" if domain else node.op_type


def _tensors(
    view: GraphView, names: Sequence[str], rows: Sequence[int | None], positions: Sequence[int | None]
) -> list[dict[str, Any]]:
    axes = zip(names, rows, positions or [None] * len(names), strict=True)
    return [{**_described(view, name), "row_axis": row, "position_axis": position} for name, row, position in axes]


def _described(view: GraphView, name: str) -> dict[str, Any]:
    shape = view.shape(name)
    return {
        "name": name,
        "type": type_name(view.dtype(name)),
        "shape": None if shape is None else [_size(size) for size in shape],
    }


def _size(size: int | str | None) -> int | str | None:
    """Leave out the names that shape inference makes up for sizes it does not know."""
    return None if isinstance(size, str) and size.startswith("unk__") else size


def _weights(model: CompiledModel) -> list[dict[str, Any]]:
    found = []
    for name, size in sorted(model.data_files.items()):
        path = model.home.parent / name
        found.append({"file": name, "bytes": size, "present": path.is_file() and path.stat().st_size >= size})
    return found


def _missing(weights: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"'{entry['file']}' with its weights is missing beside the model, or too short: onnxruntime cannot load it"
        for entry in weights
        if not entry["present"]
    ]


def _notes(model: CompiledModel) -> list[str]:
    if model.manifest is None:
        return ["the model has lost its manifest: what was measured, chosen and verified is not known"]
    changed = [
        lookup.id
        for lookup in model.lookups
        if region_entry(model.manifest, lookup.id).get("fingerprint") != lookup.fingerprint
    ]
    if changed:
        return [f"the manifest describes other regions than the graph has ({', '.join(changed)}); shown is the graph"]
    return []
