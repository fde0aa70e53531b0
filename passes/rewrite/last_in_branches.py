"""Reading only the last position of an output that an ``If`` of the model hands out: in each of its branches."""

from __future__ import annotations

from collections.abc import Sequence

from actcache.errors import InvalidOption
from actcache.passes.graph.constant_values import ReadTensor
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.branch_models import Branch, branch_model, branches_of, move_constants, put_back
from actcache.passes.rewrite.last_position import read_last


def read_last_anywhere(view: GraphView, outputs: Sequence[str], read: ReadTensor | None = None) -> dict[str, int]:
    """Have ``view.model`` compute only the last position of outputs, in place, also those that an If hands out.

    As :func:`~actcache.passes.rewrite.last_position.read_last`, which this calls for the model and for branches.
    """
    made = {name: branches_of(view.model.graph.node[view.producer[name]]) for name in outputs if name in view.producer}
    inside = [name for name in outputs if made.get(name)]
    branches = list(dict.fromkeys(branch for name in inside for branch in made[name]))
    if branches:
        move_constants(view.model, branches)
    axes: dict[str, int] = {}
    for branch in branches:
        own = [name for name in inside if branch in made[name]]
        for name, axis in _read_last_of(view, branch, own, read).items():
            if axes.setdefault(name, axis) != axis:
                problem = f"output '{name}' has its positions on another axis in each branch of an If"
                raise InvalidOption(problem, hint="leave out --reads")
    rest = [name for name in outputs if name not in inside]
    return {**axes, **(read_last(view.of(view.model), rest, read) if rest else {})}


def _read_last_of(view: GraphView, branch: Branch, outputs: Sequence[str], read: ReadTensor | None) -> dict[str, int]:
    """Do so in one branch; return the axes of positions by the names that the outputs have outside."""
    now = view.of(view.model)
    model = branch_model(now, branch)
    if isinstance(model, Refusal):
        raise InvalidOption(f"output '{outputs[0]}' is not proven to have positions: {model}", hint="leave out --reads")
    slots = {name: list(branch.node(view.model).output).index(name) for name in outputs}
    names = {name: model.graph.output[slot].name for name, slot in slots.items()}
    axes = read_last(view.of(model), list(names.values()), read)
    put_back(view.model, branch, model)
    return {name: axes[inner] for name, inner in names.items()}
