"""Graphs made of samples by changing one thing: where a tensor has its rows, or a number among the attributes.

Sizes stay what they were, so that onnxruntime runs most variants: the batch is as large as the axis that becomes the
rows'. Whatever the analysis claims of a variant has to be what onnxruntime does; a rule that leaves out a check claims
too much of some.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import onnx
from rows_support import ROWS, Array, Claim, Sample, agree, described, session

from actcache.passes.graph.nodes import node_reads

_ATTRIBUTE = re.compile(r"(\w+) ?= ?(\[[^]]*\]|-?\d+)(?=[,> ])")
_NUMBER = re.compile(r"-?\d+")
#: What their second input is does not matter to these, or only when they train; or the kernel runs nowhere.
_UNREAD = {"CastLike", "Dropout", "MatMulFpQ4", "RotaryEmbedding"}
#: Attributes that get other numbers than 0 and 1; some kernels end the process where a count is wrong.
_AXES = ("axis", "axes", "dim", "perm", "start", "end")


def failures(tried: Sample) -> list[str]:
    """Return what is wrong about the variants: wrong claims, and refusals where nothing has rows or a rank is open."""
    reads_all = not any(name in _UNREAD for _, name in tried.operators)
    found = [
        f"{what}: {wrong}" for what, moved in moved_rows(tried) for wrong in wrong_claims(moved, must_run=reads_all)
    ]
    without = _without_rows(tried)
    found += [f"nothing has rows: {refusal}" for name in tried.claims if (refusal := without.proof.refusal(name))]
    found += [f"nothing has rows: {wrong}" for wrong in wrong_claims(without)]
    for what, variant in _unknown_ranks(tried):
        refusals = [variant.proof.refusal(name) for name in variant.claims]
        found += [f"{what}: {refusal}" for refusal in refusals if refusal is not None and refusal.rule == "rule-error"]
        found += [f"{what}: {wrong}" for wrong in wrong_claims(variant)]
    return found + [f"{what}: {wrong}" for what, other in _other_numbers(tried) for wrong in wrong_claims(other)]


def variants(tried: Sample) -> Iterator[Sample]:
    """Return all variants of a sample."""
    for some in (moved_rows(tried), _unknown_ranks(tried), _other_numbers(tried)):
        yield from (variant for _, variant in some)
    yield _without_rows(tried)


def _other_numbers(tried: Sample) -> Iterator[tuple[str, Sample]]:
    for attribute in _ATTRIBUTE.finditer(tried.nodes):
        values = {0, 1, 2, 3, -1, -2} if attribute[1] in _AXES else {0, 1} if attribute[2] in ("0", "1") else set()
        for number in _NUMBER.finditer(tried.nodes, *attribute.span(2)):
            for value in values - {int(number.group())}:
                text = f"{tried.nodes[: number.start()]}{value}{tried.nodes[number.end() :]}"
                yield text, replace(tried, nodes=text)


def moved_rows(tried: Sample) -> Iterator[tuple[str, Sample]]:
    """Give each tensor its rows on each of its other axes, or on none; one that has no axis gets a number for each."""
    for name, tensor in tried.tensors.items():
        made = tensor.make(name)
        if made.ndim == 0:
            made = made.reshape(1)
        fixed = {**tried.tensors, name: replace(tensor, axis=None, values=made)}
        if tensor.axis is not None and any(t.axis is not None for t in fixed.values()):
            yield f"{name} without rows", replace(tried, tensors=fixed)
        for axis, size in enumerate(made.shape):
            if axis == tensor.axis or size == 0:
                continue
            count = ROWS if size == 1 else size
            others = {n: t if t.values is not None else replace(t, count=count) for n, t in tried.tensors.items()}
            values = np.repeat(made, ROWS, axis) if size == 1 else others[name].make(name)
            moved = replace(tensor, axis=axis, values=values, constant=False, count=count)
            yield f"{name} with rows on axis {axis}", replace(tried, tensors={**others, name: moved})


def _without_rows(tried: Sample) -> Sample:
    """Every tensor is the same for all rows."""
    return replace(tried, tensors={n: replace(t, axis=None, values=t.make(n)) for n, t in tried.tensors.items()})


def _unknown_ranks(tried: Sample) -> Iterator[tuple[str, Sample]]:
    """Leave the rank of each tensor open that is the same for all rows."""
    for name, tensor in tried.tensors.items():
        if tensor.axis is None:
            open_rank = replace(tensor, values=tensor.make(name), constant=False, declared=False)
            yield f"{name} of any rank", replace(tried, tensors={**tried.tensors, name: open_rank})


def wrong_claims(tried: Sample, *, must_run: bool = False) -> list[str]:
    """Return what the analysis claims and onnxruntime does not do; with `must_run` also of what it refuses to run."""
    proof = tried.proof
    claims = {name: described(proof.state(name)) for name in tried.claims}
    claims = {name: claim for name, claim in claims.items() if claim == "free" or not isinstance(claim, str)}
    if not claims:
        return []
    try:
        runner = session(tried, _only(tried.model, claims))
        whole = dict(zip(claims, runner.run(list(claims), tried.feed()), strict=True))
    except Exception as problem:
        return [f"{claims} are claimed of what does not run: {problem}"] if must_run else []
    count = next((t.count for t in tried.tensors.values() if t.axis is not None), ROWS)
    wrong = []
    for order in (list(range(count))[::-1], [*range(1, count), 0], [0, *range(count - 1)], [count - 1], [0]):
        try:
            part = dict(zip(claims, runner.run(list(claims), tried.feed(order)), strict=True))
        except Exception:
            part = {}  # it runs for one number of rows only
        wrong += [
            f"{name} is {claim} for {order}"
            for name, claim in claims.items()
            if name not in part or not _follows(part[name], whole[name], claim, order, tried.tolerance)
        ]
    return wrong


def _only(model: onnx.ModelProto, outputs: Iterable[str]) -> onnx.ModelProto:
    """The model with these outputs and the nodes that they need."""
    wanted, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node_reads(node))
    values = [value for value in model.graph.output if value.name in wanted]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(kept[::-1])
    model.graph.output.extend(values)
    return model


def _follows(part: Array, whole: Array, claim: Claim, order: list[int], tolerance: float) -> bool:
    if isinstance(claim, str):  # the same for all rows
        return agree(part, whole, -1, tolerance)
    axis, block = claim if isinstance(claim, tuple) else (claim, 1)
    return agree(part, np.take(whole, [row * block + j for row in order for j in range(block)], axis), axis, tolerance)
