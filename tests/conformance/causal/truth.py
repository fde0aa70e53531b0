"""What the causal proof says of a model, held to what onnxruntime computes.

A proof is wrong if a tensor that it calls stable changes at its first P positions when the others change, or go. A
branch is wrong if, given what the first P positions left, it does not give what the whole graph gives for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from actcache.passes.causal import Ahead, Causal, CausalProof, Counted, prove_causal
from actcache.passes.cuts import End, Layout
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.suffix_branch import SuffixNames
from actcache.passes.rewrite.suffix_plan import build_suffix, plan_states
from tests.conformance.causal.sketches import MOST, WORDS, Sketch

Array = npt.NDArray[Any]
Feed = dict[str, Array]
#: How the axis of positions of what is left behind the last one is called in the models of branches.
_ENDS = "E"


def session(model: onnx.ModelProto, *, optimised: bool = False) -> Any:
    """Open a model in onnxruntime."""
    options = ort.SessionOptions()
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def feed(sketch: Sketch, count: int, rows: int = 2, seed: int = 0) -> Feed:
    """Draw inputs: of `count` positions, and `rows` rows where an axis is called B."""
    random = np.random.default_rng(seed)
    made: Feed = {}
    for value in sketch.model.graph.input:
        tensor = value.type.tensor_type
        shape = [d.dim_value or {"B": rows, "S": count, "F": 8}.get(d.dim_param, 3) for d in tensor.shape.dim]
        if value.name in sketch.positions:
            shape[sketch.positions[value.name]] = count
        if value.name in sketch.pasts:
            shape[sketch.pasts[value.name]] = 0
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        made[value.name] = _drawn(random, value.name, shape, dtype)
        if value.name in sketch.ones:
            made[value.name] = np.ones(shape, dtype)
    return made


def _drawn(random: np.random.Generator, name: str, shape: list[int], dtype: np.dtype[Any]) -> Array:
    if "mask" in name:
        drawn = random.integers(0, 2, shape)
        drawn[..., 0] = 1
        return np.asarray(drawn, dtype)
    if name == "position_ids":
        return np.array(np.broadcast_to(np.arange(shape[-1]), shape), dtype)
    if dtype.kind in "iu":
        return np.asarray(random.integers(0, WORDS, shape), dtype)
    return np.asarray(random.standard_normal(shape), dtype)


def cut(made: Feed, sketch: Sketch, first: int, last: int | None) -> Feed:
    """Return some positions of inputs."""
    axes = sketch.positions
    return {n: _part(v, [axes[n]], slice(first, last)) if n in axes else v for n, v in made.items()}


def changed(made: Feed, sketch: Sketch, first: int, seed: int = 1) -> Feed:
    """Return inputs with other, larger values from position `first` on."""
    random = np.random.default_rng(seed)
    result = {}
    for name, value in made.items():
        result[name] = value.copy()
        if name not in sketch.positions or name in sketch.ones:
            continue
        later = _part(result[name], [sketch.positions[name]], slice(first, None))
        if "mask" in name:
            later[...] = random.integers(0, 2, later.shape)
        elif name == "position_ids":
            later[...] = random.integers(0, MOST, later.shape)
        elif value.dtype.kind in "iu":
            later[...] = random.integers(0, WORDS, later.shape)
        else:
            later[...] = 20 * random.standard_normal(later.shape)
    return result


def _part(value: Array, axes: Sequence[int], taken: slice) -> Array:
    index: list[slice] = [slice(None)] * value.ndim
    for axis in axes:
        index[axis] = taken
    part: Array = value[tuple(index)]
    return part


def agree(got: Array, expected: Array, tolerance: float = 2e-4) -> bool:
    """Equal up to rounding, relative to the largest magnitude."""
    if got.shape != expected.shape:
        return False
    if got.dtype.kind != "f":
        return bool((got == expected).all())
    if not np.array_equal(np.isnan(got), np.isnan(expected)):
        return False
    a, b = (np.nan_to_num(v.astype(np.float64), nan=0, posinf=1e300, neginf=-1e300) for v in (got, expected))
    return bool((np.abs(a - b) <= tolerance * (1 + np.abs(b).clip(max=1e30))).all())


def wrongly_proven(
    sketch: Sketch, proof: CausalProof, counts: Sequence[int] = (6,), seed: int = 0, *, may_fail: bool = False
) -> Iterator[str]:
    """Yield what the proof says of tensors and onnxruntime does not."""
    names = [name for name in sketch.view.producer if not isinstance(proof.state(name), Ahead)]
    if not names:
        return
    watched = onnx.ModelProto()
    watched.CopyFrom(sketch.model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    runner = session(watched)
    for count in counts:
        whole_feed = feed(sketch, count, seed=seed)
        whole = _outputs(runner, names, whole_feed)
        if not whole and not may_fail:
            yield "it cannot be run"
        for first in range(1, count) if whole else ():
            others = {
                "changed": changed(whole_feed, sketch, first),
                "gone": cut(whole_feed, sketch, 0, first),
            }
            for what, other in others.items():
                made = _outputs(runner, names, other)
                for name in made:
                    if not _holds(proof, name, whole[name], made[name], first, gone=what == "gone"):
                        yield f"{name} is {proof.state(name)}; later positions than {first} of {count} {what}"


def _outputs(
    runner: Any,
    names: Sequence[str],
    given: Feed,
    refusals: tuple[type[Exception], ...] = (RuntimeException, Fail, InvalidArgument),
) -> dict[str, Array]:
    """Run a model; nothing, if it cannot be run on such inputs."""
    try:
        return dict(zip(names, runner.run(list(names), given), strict=True))
    except refusals:
        return {}


def _holds(proof: CausalProof, name: str, whole: Array, other: Array, first: int, *, gone: bool) -> bool:
    state = proof.state(name)
    if isinstance(state, Counted) and (not state.stable or not gone):
        return gone or agree(other, whole)
    if isinstance(state, Counted | Causal):
        if not all(place.single for place in state.places):
            return True  # what they are made into is looked at
        for place in state.places:
            early = slice(0, place.lead + first)
            whole, other = (_part(value, [place.axis], early) for value in (whole, other))
    return agree(other, whole)


def suffix_model(
    sketch: Sketch, proof: CausalProof, outputs: Sequence[str]
) -> tuple[onnx.ModelProto, list[str]] | Refusal:
    """Return a model of the branch of the whole graph, as the operators would run it, and what entries hold.

    Inputs: those of the original, ``<name>.compact``, ``<name>.cached``. Outputs: the suffix of `outputs` and states,
    and ends; then those of `outputs` that are remembered behind the last position, as ``<name>@r``.
    """
    view, frontier = sketch.view, list(view_inputs(sketch))
    nodes = range(len(view.model.graph.node))
    states = plan_states(view, nodes, frontier, outputs, proof)
    if isinstance(states, Refusal):
        return states
    kept = [*(name for name in outputs if name not in states.finals), *states.names]
    compact = {name: f"{name}.compact" for name in frontier if name in sketch.positions}
    names = SuffixNames(compact, {name: f"{name}.cached" for name in kept}, "@r", "divided")
    branch = build_suffix(view, nodes, frontier, outputs, states, proof, names)
    model = onnx.ModelProto()
    model.CopyFrom(sketch.model)
    graph = model.graph
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(branch.nodes)
    graph.initializer.extend(branch.initializers)
    for name in compact:
        graph.input.append(onnx.helper.make_tensor_value_info(compact[name], view.dtype(name) or 0, None))
    for name in kept:
        like = states.ends.get(name, End(name))
        layout = Layout.proven(proof, None, like)
        shape = [_ENDS if name in states.ends and a == layout.position_axis else None for a in range(len(layout.sizes))]
        graph.input.append(onnx.helper.make_tensor_value_info(f"{name}.cached", view.dtype(like.like) or 0, shape))
    if states.ends:
        graph.input.append(onnx.helper.make_tensor_value_info("divided", onnx.TensorProto.INT64, [1]))
    graph.output.extend(onnx.ValueInfoProto(name=branch.computed[name]) for name in kept)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in branch.finals.values())
    return model, kept


def view_inputs(sketch: Sketch) -> Iterator[str]:
    """The graph inputs that some node reads."""
    return (name for name in sketch.view.inputs if sketch.view.consumers.get(name))


def wrong_suffixes(
    sketch: Sketch,
    proof: CausalProof,
    outputs: Sequence[str],
    count: int = 7,
    *,
    optimised: bool = False,
    seed: int = 0,
    may_fail: bool = False,
) -> Iterator[str]:
    """Yield where the branch differs from the original: for every prefix that leaves at least two positions."""
    made = suffix_model(sketch, proof, outputs)
    assert not isinstance(made, Refusal), made
    model, kept = made
    branch = session(model, optimised=optimised)
    calls = continued(sketch, proof, model, kept, count, seed=seed)
    if not calls and not may_fail:
        yield "it cannot be run"
    for first, given, expected in calls:
        results = branch.run(list(expected), given)
        for (name, wanted), got in zip(expected.items(), results, strict=True):
            if not agree(got, wanted):
                yield f"{name} after {first} of {count} positions"


def continued(
    sketch: Sketch, proof: CausalProof, branch: onnx.ModelProto, kept: Sequence[str], count: int, *, seed: int = 0
) -> list[tuple[int, Feed, Feed]]:
    """Return calls of a branch (:func:`suffix_model`): how long the prefix is, its inputs, and what it has to give.

    There are none if the original cannot be run.
    """
    apart = [name for name in kept if name in sketch.view.producer]  # the others are ends
    finals = [value.name.removesuffix("@r") for value in branch.graph.output[len(kept) :]]
    watched = onnx.ModelProto()
    watched.CopyFrom(sketch.model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in (*apart, *finals))
    whole_feed = feed(sketch, count, seed=seed)
    whole = _outputs(session(watched), [*apart, *finals], whole_feed)
    ends = _Ends(sketch, branch, kept)
    calls = []
    for first in range(count - 1) if whole else ():
        rest = {f"{name}.compact": value for name, value in cut(whole_feed, sketch, first, None).items()}
        known = {f"{name}.cached": _cached(whole[name], proof, name, first) for name in apart}
        known |= ends.known(cut(whole_feed, sketch, 0, first + 1), first)
        expected = {}
        for name, written in zip(kept, branch.graph.output, strict=False):
            axis = proof.position_axis(name) if name in whole else None
            if axis is not None:
                expected[written.name] = _part(whole[name], [axis], slice(first, None))
        # Behind so many of those that it computes, it tells what is left there as well.
        divided = (first * 3) % max(1, count - first - 2)
        told = ends.behind(whole_feed)
        if divided:
            inside = ends.behind(cut(whole_feed, sketch, 0, first + min(first, 1) + divided))
            told = {name: np.concatenate([inside[name], told[name]], ends.axes[name]) for name in told}
        given = {**whole_feed, **rest, **known, "divided": np.array([divided])}
        calls.append((first, ends.taken(given), expected | told | {f"{name}@r": whole[name] for name in finals}))
    return calls


class _Ends:
    """What a branch says is left behind the last position, if nothing was known: as the operators learn it.

    Attributes:
        axes: Of the positions of what it writes.
    """

    def __init__(self, sketch: Sketch, branch: onnx.ModelProto, kept: Sequence[str]) -> None:
        written = [value.name for value in branch.graph.output[: len(kept)]]
        self._sketch, self._types = sketch, {value.name: value.type.tensor_type for value in branch.graph.input}
        self._written = {name: out for name, out in zip(kept, written, strict=True) if name not in sketch.view.producer}
        self._empty = [f"{name}.cached" for name in kept]
        self.axes = {
            out: [d.dim_param for d in self._types[f"{name}.cached"].shape.dim].index(_ENDS)
            for name, out in self._written.items()
        }
        self._runner = session(branch) if self._written else None

    def taken(self, given: Feed) -> Feed:
        """Return what the branch reads."""
        return {name: value for name, value in given.items() if name in self._types}

    def known(self, beginning: Feed, first: int) -> Feed:
        """Return what the branch is told behind position `first`."""
        behind = self.behind(beginning)
        taken = slice(0, min(first, 1))
        return {f"{n}.cached": _part(behind[out], [self.axes[out]], taken) for n, out in self._written.items()}

    def behind(self, made: Feed) -> Feed:
        """Return what the branch says behind all positions of a call."""
        if self._runner is None:
            return {}
        given = made | {f"{name}.compact": value for name, value in made.items()}
        for name in self._empty:
            kind = self._types[name]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            given[name] = np.zeros([0] * len(kind.shape.dim), dtype)
        given["divided"] = np.array([0])
        names = list(self._written.values())
        return dict(zip(names, self._runner.run(names, self.taken(given)), strict=True))


def behind_past(
    sketch: Sketch, proof: CausalProof, output: str, count: int = 3, seed: int = 0, *, both: Sequence[str] = ()
) -> bool | None:
    """Whether the branch, with nothing known, gives what the original gives for a past of two positions; None: the
    original refuses that, or there is no branch. `both`: inputs that have the positions of past and call.
    """
    made = suffix_model(sketch, proof, [output])
    given, random = feed(sketch, count, seed=seed), np.random.default_rng(seed)
    given |= {name: value for name, value in feed(sketch, count + 2, seed=seed).items() if name in both}
    for name, axis in sketch.pasts.items():
        shape = [2 if a == axis else size for a, size in enumerate(given[name].shape)]
        given[name] = random.standard_normal(shape).astype(given[name].dtype)
    expected = _outputs(session(sketch.model), [output], given)
    if isinstance(made, Refusal) or not expected:
        return None
    model, kept = made
    given |= {f"{name}.compact": value for name, value in given.items()}
    for value in model.graph.input:
        if value.name.removesuffix(".cached") in kept:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            given[value.name] = np.zeros([0] * len(value.type.tensor_type.shape.dim), dtype)
    given["divided"] = np.array([0])
    wanted = {value.name for value in model.graph.input}
    (got,) = session(model).run([model.graph.output[0].name], {n: v for n, v in given.items() if n in wanted})
    return agree(got, expected[output])


def _cached(value: Array, proof: CausalProof, name: str, first: int) -> Array:
    if not first:
        return np.zeros([0] * value.ndim, value.dtype)
    axis = proof.position_axis(name)
    assert axis is not None
    return _part(value, [axis], slice(0, first))


def proven(sketch: Sketch, **options: Any) -> CausalProof:
    """Prove a sketch."""
    return prove_causal(sketch.view, sketch.positions, pasts=sketch.pasts, ones=sketch.ones, **options)


def looks_ahead(sketch: Sketch, output: str = "y", axis: int = 1, count: int = 6, seed: int = 0) -> bool:
    """Whether, in onnxruntime, earlier positions of an output change with later ones, or when those go."""
    runner = session(sketch.model)
    whole_feed = feed(sketch, count, seed=seed)
    whole = _outputs(runner, [output], whole_feed)
    for first in range(1, count) if whole else ():
        for other in (changed(whole_feed, sketch, first), cut(whole_feed, sketch, 0, first)):
            try:
                (made,) = runner.run([output], other)
            except Exception:  # it runs for one number of positions only
                return True
            if not agree(_part(made, [axis], slice(0, first)), _part(whole[output], [axis], slice(0, first))):
                return True
    return False
