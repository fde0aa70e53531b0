"""What calls put at the frontiers of a compiled model's regions: the part of the model before them, run elsewhere.

A frontier in the main graph is computed by the compiled model itself, regions before it included, so that it has the
bits that its lookup sees. That of a region inside another stands in a branch: it is computed by the model as it was
before it was compiled, from all rows of the call. So is that of a region in a branch of one of the model's own Ifs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from actcache.base.files import scratch_folder
from actcache.errors import InvalidModel
from actcache.model.compiled_model import CompiledModel, Lookup
from actcache.model.feed_file import read_entries, save_sample
from actcache.model.model_file import parse_model
from actcache.model.model_inputs import Feed, ModelInput
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.upstream import upstream_model
from actcache.passes.rewrite.weights import move_weights
from actcache.runs.client import ask
from actcache.runs.requests import ComputeFrontiers, FrontierCall

Values = dict[str, npt.NDArray[Any]]


def frontier_values(
    model: CompiledModel,
    lookups: Sequence[Lookup],
    feeds: Sequence[tuple[str, Feed]],
    libraries: Sequence[str | PathLike[str]] = (),
) -> list[Values]:
    """Return, per call, the frontier tensors of some regions by name; those of types that numpy lacks are left out. For
    a region in a branch, the condition is there, too.

    Args:
        model: The compiled model.
        lookups: Its regions to look at.
        feeds: The calls: what messages call each, and its inputs, checked against the model. They are made in this
            order, from an empty store.
        libraries: Custom-op libraries that the model itself needs.

    Raises:
        InvalidModel: onnxruntime refuses that part of the model or crashes on it, or its weights cannot be read.
        InvalidSamples: It refuses a call.
        LibraryError: The native library cannot be used.
        OutputError: The temporary folder cannot be written, or is full.
    """
    inputs = set(model.view.inputs)
    wanted = {name: lookup for lookup in lookups for name in lookup.frontier if _readable(model.around(lookup), name)}
    conditions = {condition for lookup in lookups if (condition := model.condition(lookup)) is not None}
    known = [_given(model, (wanted.keys() | conditions) & inputs, feed) for _, feed in feeds]
    sources = {name: _computed_by(model, lookup, name) for name, lookup in wanted.items() if name not in inputs}
    sources |= dict.fromkeys(conditions - inputs)
    if not sources:
        return known
    with scratch_folder() as directory:
        parts = list(_parts(model, sources, directory))
        calls = [
            FrontierCall(name, save_sample(directory / f"feed{number}.npz", feed), directory / f"values{number}.npz")
            for number, (name, feed) in enumerate(feeds)
        ]
        ask(ComputeFrontiers(str(model.path), parts, calls, [str(path) for path in libraries]), directory)
        return [values | read_entries(entry.values) for values, entry in zip(known, calls, strict=True)]


def _readable(view: GraphView, name: str) -> bool:
    return ModelInput(name, view.dtype(name) or 0, None).feedable


def _computed_by(model: CompiledModel, lookup: Lookup, name: str) -> GraphView | None:
    """Return the model that computes a frontier tensor; None: the compiled one."""
    view = model.around(lookup)
    if lookup.branch is None:
        return None if lookup.outer is None else view
    if name not in view.producer:
        return None
    if set(view.inputs) <= set(model.view.inputs):
        return view
    problem = f"'{name}' cannot be computed: its branch reads what other nodes compute"
    raise InvalidModel(problem, file=model.path, hint=f"choose another region than '{lookup.id}' with --region")


def _given(model: CompiledModel, names: Collection[str], feed: Feed) -> Values:
    """The frontier tensors that are inputs: as they are fed, or their defaults."""
    found: Values = {}
    for name in names:
        default = model.view.initializer(name)
        if name in feed:
            found[name] = feed[name]
        elif default is not None:
            found[name] = onnx.numpy_helper.to_array(default, str(model.home.parent))
    return found


def _parts(model: CompiledModel, sources: Mapping[str, GraphView | None], directory: Path) -> Iterator[Path]:
    """Write the parts of models that compute tensors; `sources`: as :func:`_computed_by` says."""
    views = list({id(view): view for view in sources.values()}.values())
    for number, view in enumerate(views):
        names = [name for name, source in sources.items() if source is view]
        part = upstream_model(parse_model(model.path) if view is None else view.model, names)
        move_weights(part, model.home, directory / f"weights{number}.bin")
        path = directory / f"part{number}.onnx"
        path.write_bytes(part.SerializeToString())
        yield path
