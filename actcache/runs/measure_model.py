"""Measuring a model, in the process that runs models (see ``worker``): types, samples, costs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from actcache.base.free_memory import release_memory
from actcache.errors import InvalidSamples
from actcache.model.feed_file import read_feed, save_sample
from actcache.model.model_inputs import model_inputs
from actcache.model.synthetic_samples import make_samples
from actcache.passes.costs.layout import Layout, lay_out
from actcache.passes.costs.profiler import measure_costs
from actcache.passes.costs.time_model import FewRows
from actcache.passes.costs.timed_runs import run_seconds
from actcache.passes.cuts.feeds import Feed, row_count, take
from actcache.passes.graph.told_types import told_types
from actcache.passes.graph.view import GraphView
from actcache.runs.requests import AskTypes, Measure, Measurement, Originals, RowAxes, Told
from actcache.runs.sessions import check_outputs, open_original, run_of, run_sample


def ask_types(request: AskTypes, directory: Path) -> Told:
    """Ask onnxruntime for types that onnx does not infer; none where it refuses the model with more outputs."""
    view = GraphView(onnx.load_model(request.originals.base, load_external_data=False), infers=request.infers)
    types: dict[str, int] = {}
    if view.untyped:
        # Whatever the runtime raises: the model itself is tried, and spoken of, when it is measured.
        with suppress(Exception):
            types = told_types(view.model, view.untyped, directory, request.originals.libraries)
        release_memory()  # of that session: this process may go on to measure
    return Told(types, request.infers)


def measure(request: Measure, directory: Path) -> Measurement:
    """Run the samples, or made-up ones, and measure costs on the first."""
    originals = request.originals
    session = open_original(originals, spinning=True)
    proto = onnx.load_model(originals.base, load_external_data=False)
    try:
        paths, first = _samples(request, session, proto, directory)
    except InvalidSamples:
        check_outputs(session, originals)
        raise
    answer = Measurement(paths, ort.__version__, None)
    if not request.timed:
        return answer
    timing = run_seconds(session, first)
    del session  # one model in memory at a time
    release_memory()
    view = GraphView(proto, infers=False)
    layout = lay_out(view, directory, first, originals.libraries)
    layout.save(_layout_file(originals, directory))
    costs = measure_costs(view, directory, first, timing, layout, originals.libraries)
    return Measurement(paths, ort.__version__, costs)


def _samples(
    request: Measure, session: ort.InferenceSession, proto: onnx.ModelProto, directory: Path
) -> tuple[list[Path], Feed]:
    """Return files of samples that the model accepts, those given or made-up ones, and what the first one holds."""
    originals = request.originals
    if request.samples:
        first = read_feed(request.samples[0], model_inputs(proto))
        run_sample(session, first, request.samples[0])
        return list(request.samples), first
    signature = onnx.load_model(originals.signature or originals.base, load_external_data=False)
    try:
        made = make_samples(signature, run_of(session, originals))
    except MemoryError as error:
        problem, hint = "inputs of the sizes that it states do not fit into memory", "give others with --sample"
        raise InvalidSamples(problem, file=originals.source, hint=hint) from error
    name = Path(originals.base).stem
    return [save_sample(directory / f"{name}.sample{i}.npz", feed) for i, feed in enumerate(made)], made[0]


def _layout_file(originals: Originals, directory: Path) -> Path:
    """Where the layout is kept for further measurements of the same model."""
    return directory / f"{Path(originals.base).stem}.layout"


def measure_one_row(
    originals: Originals,
    session: ort.InferenceSession,
    proto: onnx.ModelProto,
    directory: Path,
    sample: Feed,
    row_axes: RowAxes,
) -> FewRows | None:
    """Measure one of the sample's rows; None if it has no other, or if the model refuses a single one."""
    axes = {name: axis for name, axis in row_axes.items() if name in sample}
    whole = row_count(sample, axes) if axes else 1
    if whole == 1:
        return None
    feed = take(sample, axes, np.arange(1))
    try:
        timing = run_seconds(session, feed)
    except Exception:  # whatever the runtime raises: the model takes this many rows and no fewer
        return None
    view, kept = GraphView(proto, infers=False), _layout_file(originals, directory)
    layout = Layout.load(kept) if kept.exists() else lay_out(view, directory, sample, originals.libraries)
    costs = measure_costs(view, directory, feed, timing, layout, originals.libraries)
    return FewRows(row_axes, 1, costs)
