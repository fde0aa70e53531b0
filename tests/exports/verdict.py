"""What the compiler makes of one model: what it proves, what it compiles, and whether that computes the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

import actcache
from actcache.errors import ActcacheError, InvalidSamples, NothingToCache
from actcache.model.model_file import load_model
from actcache.passes.graph.view import GraphView
from actcache.passes.rows import prove_rows, row_hypotheses
from tests.exports.exporting import without_rows
from tests.exports.forms import DYNAMIC, QUANTISED
from tests.exports.subject import Rows, Subject

#: Largest difference accepted between the original and the compiled model, relative to the largest value. The kernels
#: of onnxruntime differ by about this much between sizes of the batch. In a quantised model a last bit may move a
#: rounding: onnxruntime with its optimiser and without differ by up to 1.2e-2 on those made here.
TOLERANCE, QUANTISED_TOLERANCE = 2e-4, 3e-2


@dataclass
class Verdict:
    """What came of one model.

    Attributes:
        name: Architecture, exporter, opset, attention and form.
        proven: ``row``, ``tensor``, ``refused`` or ``not exported``.
        regions: Granularity and batch of every region compiled.
        reason: Why it is not ``row``.
        problems: What is wrong.
    """

    name: tuple[str, str, str, str, str]
    proven: str = "row"
    regions: list[str] = field(default_factory=list)
    reason: str = ""
    problems: list[str] = field(default_factory=list)


def judge(verdict: Verdict, subject: Subject, path: Path, folder: Path, *, compiled: bool = True) -> None:
    """Prove, compile (unless told not to), run and compare; fills `verdict` in."""
    loaded = load_model(path, folder)
    view = GraphView(loaded.proto)
    for claim in subject.rows:
        problem = _unproven(view, subject, claim)
        if problem and not verdict.reason:
            verdict.proven, verdict.reason = "tensor", problem
    if compiled:
        _compile(verdict, subject, path, folder)
    expected = "tensor" if verdict.name[-1] == DYNAMIC else "row"
    if verdict.proven != expected:
        verdict.problems.append(f"{verdict.proven} where {expected} is right")
    rows = [region for region in verdict.regions if region.startswith(("row", "prefix"))]
    if compiled and verdict.proven == "row" and len(rows) < subject.regions:
        verdict.problems.append(f"{subject.regions} regions of rows are there to be found")


def _unproven(view: GraphView, subject: Subject, claim: Rows) -> str:
    """Return why outputs claimed to be rows are not proven to be; empty if they are."""
    axes = {
        name: axis
        for name, given in subject.inputs.items()
        for axis, symbol in given.axes.items()
        if symbol == claim.symbol and name in view.inputs
    }
    if axes not in row_hypotheses(view, view.inputs) and axes not in row_hypotheses(view, axes):
        return f"nobody tries {axes} as the rows"
    proof = prove_rows(view, axes, named_sizes=True)
    for output, axis in claim.outputs.items():
        refusal = proof.refusal(output)
        if refusal is not None:
            return f"{refusal.rule}: {refusal.reason} ({refusal.node})"
        if proof.row_axis(output) != axis:
            return f"'{output}' is {proof.state(output)}"
    return ""


def _compile(verdict: Verdict, subject: Subject, path: Path, folder: Path) -> None:
    target = folder / "compiled.onnx"
    tolerance = QUANTISED_TOLERANCE if verdict.name[-1] in QUANTISED else TOLERANCE
    inputs = [value.name for value in onnx.load(path, load_external_data=False).graph.input]
    feeds = [{n: without_rows(subject, n, fewer).numpy() for n in inputs} for fewer in (0, 1)]
    try:
        try:
            result = actcache.compile_model(path, target, min_saving=0, tolerance=tolerance)
        except InvalidSamples:
            result = actcache.compile_model(path, target, samples=feeds[:1], min_saving=0, tolerance=tolerance)
    except NothingToCache as nothing:
        verdict.proven, verdict.reason = "refused", verdict.reason or str(nothing)
        return
    except ActcacheError as error:
        verdict.problems.append(f"the compiler fails: {error}")
        return
    for compiled in result.regions:
        region, axes = compiled.candidate.region, compiled.candidate.row_axes
        symbols = {subject.inputs[name].axes.get(axis, "?") for name, axis in axes.items()}
        batch = "/".join(sorted(symbols)) or "/".join(compiled.candidate.cone)
        verdict.regions.append(f"{region.granularity} by {batch}")
    verdict.problems += [str(r) for r in result.refusals if r.rule == "verification"]
    original, model = _session(path), _session(target)
    for feed in (*feeds, *feeds):
        for name, left, right in zip(subject.outputs, original.run(None, feed), model.run(None, feed), strict=True):
            scale = max(1.0, float(np.abs(left).max(initial=0)))
            if left.shape != right.shape or not np.allclose(left, right, rtol=0, atol=tolerance * scale):
                verdict.problems.append(f"'{name}' is not what the original gives")


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.register_custom_ops_library(actcache.library_path())
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
