"""One random graph, held to onnxruntime in every form that is drawn: plain, with a Scan, behind a past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from actcache.passes.causal import Ahead, CausalProof
from actcache.passes.refusal import Refusal
from tests.conformance.causal.drawing import draw
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import (
    behind_past,
    looks_ahead,
    proven,
    suffix_model,
    wrong_suffixes,
    wrongly_proven,
)


@dataclass
class Trial:
    """What came of one graph.

    Attributes:
        proof: What is proven of the graph.
        causal: Whether its output is proven causal, and a branch for the last positions is built.
        seen_ahead: Whether a graph that is refused was seen to look ahead in onnxruntime.
        told: Tensors of which it is known that they are what is remembered behind the last position.
        later: Whether calls with a past gave what the original gives; None: there are none, or it refuses them.
        wrong: What the proof or the branch says, and onnxruntime does not.
    """

    proof: CausalProof
    causal: bool = False
    seen_ahead: bool = False
    told: list[str] = field(default_factory=list)
    later: bool | None = None
    wrong: list[str] = field(default_factory=list)


def tried(sketch: Sketch, seed: int, *, remembered: bool = False) -> Trial:
    """Hold a graph to onnxruntime; `remembered`: and what its recurrences leave behind the last position."""
    (output,) = sketch.view.outputs
    trial = Trial(proven(sketch, binary_masks=True))
    counts = (4,) if sketch.pasts else (6,)
    trial.wrong += wrongly_proven(sketch, trial.proof, counts, seed=seed, may_fail=True)
    if isinstance(trial.proof.state(output), Ahead):
        trial.seen_ahead = not sketch.pasts and looks_ahead(sketch, output, seed=seed)
        return trial
    if remembered:
        trial.told = [name for name in sketch.view.producer if trial.proof.last(name) is not None]
    wanted = [output, *trial.told]
    made = suffix_model(sketch, trial.proof, wanted)
    if isinstance(made, Refusal):
        trial.wrong += [] if sketch.pasts else [f"no branch for the last positions: {made}"]
        return trial
    trial.causal = True
    trial.wrong += wrong_suffixes(sketch, trial.proof, wanted, count=6, seed=seed, may_fail=True)
    if sketch.pasts:
        trial.later = behind_past(sketch, trial.proof, output, seed=seed)
        trial.wrong += ["a call with a past differs"] if trial.later is False else []
    return trial


#: How the graph of a seed is made, and whether what is remembered is looked at.
FORMS: dict[str, Callable[[int], Trial]] = {
    "plain": lambda seed: tried(draw(seed), seed, remembered=True),
    "scan": lambda seed: tried(draw(seed, 3, scan=True), seed, remembered=True),
    "past": lambda seed: tried(draw(seed, past=True), seed),
}
