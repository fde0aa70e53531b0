"""The manifest: what a compiled model says about itself, JSON in ``metadata_props["actcache.manifest"]``.

What decides at run time are the attributes of the operators in the graph. The manifest is for people and tools: nothing
in it changes a result. Its keys in schema 2:

- ``schema``: this number; it grows when keys change their meaning or go, not when some are added.
- ``actcache``, ``onnxruntime``: the versions that compiled and measured; the second is null if nothing was run.
- ``original``: the model that was compiled: its ``file`` name, ``sha256`` of that file and ``weights_sha256`` of its
  large weights as the compiler lays them out.
- ``policy``: how regions were chosen, see :class:`Policy`.
- ``milliseconds``: one call of the original on the sample, and ``measured``: whether that is a measurement.
- ``regions``: see :meth:`actcache.compile.result.CompiledRegion.to_json`; ``predicted_reuse`` and ``measured_reuse``
  are the shares of rows that a trace said would repeat and that did, null without one.
- ``verify``, ``trace``: what verification and trace found (:class:`~actcache.verification.verify.Verification`,
  :class:`~actcache.model.trace.TraceOutcome`); null if they were not asked for.
- ``per_call``: names of the inputs and outputs that steer and watch the cache
  (:class:`actcache.base.per_call.PerCall`); not there without any.

Schema 1 had ``version`` for ``schema``, ``tool`` for ``actcache``, and of the others only ``onnxruntime`` and parts of
``regions``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from actcache._version import __version__
from actcache.base.per_call import PerCall
from actcache.errors import InvalidModel
from actcache.model.manifest_form import check_form
from actcache.passes.costs.cost import Costs
from actcache.passes.rewrite.inline_regions import MANIFEST_KEY

if TYPE_CHECKING:
    from actcache.compile.result import CompileResult

SCHEMA = 2
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Policy:
    """By what regions were chosen.

    Attributes:
        chosen_by: ``costs``, ``trace`` or ``names`` (``--region``).
        granularity: ``auto``, ``row``, ``prefix`` or ``tensor``, as asked for.
        min_saving_ms: Milliseconds that a hit had to save; None: several times what its lookup costs.
        budget_bytes: Bytes of the store that a trace was played with; None without one.
        tolerance: Largest accepted difference to the original, as asked for; None: by type and spread.
        exact: ``bits``: no difference was accepted.
        dynamic_batch: Whether a batch of constant size was made variable.
        pure_ops: Operators that the user vouched for.
        outputs: The outputs that were kept; None: all.
        reads: Outputs of which only the last position is computed, each with the axis of its positions; None: none.
    """

    chosen_by: str
    granularity: str
    min_saving_ms: float | None
    budget_bytes: int | None
    tolerance: float | None
    exact: str | None
    dynamic_batch: bool
    pure_ops: Sequence[str]
    outputs: Sequence[str] | None = None
    reads: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Original:
    """The model that was compiled; the attributes are those of the manifest's ``original``."""

    file: str
    sha256: str
    weights_sha256: str | None

    @classmethod
    def of(cls, source: Path, weights_digest: str | None) -> Original:
        """Read the file `source`."""
        state = hashlib.sha256()
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
        return cls(source.name, state.hexdigest(), weights_digest)


def add_manifest(
    model: onnx.ModelProto,
    result: CompileResult,
    *,
    original: Original,
    policy: Policy,
    costs: Costs,
    runtime_version: str,
) -> None:
    """Write the manifest of a compiled model into it.

    Args:
        model: The compiled model.
        result: What compiling it gave.
        original: The model that was compiled.
        policy: By what regions were chosen.
        costs: What its nodes cost.
        runtime_version: The onnxruntime that measured; empty if nothing was run.
    """
    content = {
        "schema": SCHEMA,
        "actcache": __version__,
        "onnxruntime": runtime_version or None,
        "original": asdict(original),
        "policy": asdict(policy),
        "milliseconds": round(costs.total * 1e3, 4),
        "measured": costs.measured,
        "regions": _regions(result),
        "verify": result.verify.to_json() if result.verify else None,
        "trace": result.trace.to_json() if result.trace else None,
        **result.per_call.to_manifest(),
    }
    model.metadata_props.add(key=MANIFEST_KEY, value=json.dumps(content, sort_keys=True))


def _regions(result: CompileResult) -> list[dict[str, Any]]:
    """The regions, with what a trace predicted and measured of each."""
    uses = {c.candidate.region.id: c.use for c in result.considered if c.verdict == "chosen"}
    predicted = {name: round(use.reuse, 4) for name, use in uses.items() if use is not None}
    measured = {name: round(reuse, 4) for name, reuse in result.trace.reuse.items()} if result.trace else {}
    regions = []
    for region in result.regions:
        name = region.candidate.region.id
        reuse = {"predicted_reuse": predicted.get(name), "measured_reuse": measured.get(name)}
        regions.append({**region.to_json(), **reuse})
    return regions


def read_manifest(model: onnx.ModelProto, file: Path) -> dict[str, Any] | None:
    """Return the content of a compiled model's manifest with the keys of schema 2; None: it has none.

    Args:
        model: The model.
        file: What messages call it.

    Raises:
        InvalidModel: The manifest is of a later schema, or is no manifest.
    """
    text = next((entry.value for entry in model.metadata_props if entry.key == MANIFEST_KEY), None)
    if text is None:
        return None
    try:
        content = json.loads(text)
        schema = int(content.get("schema", content.get("version")))
        if schema <= SCHEMA:
            check_form(content)
    except Exception as error:  # whatever it is, it is no manifest
        hint = "compile the original model again"
        raise InvalidModel("its manifest is damaged and cannot be read", file=file, hint=hint) from error
    if schema > SCHEMA:
        problem = f"its manifest has schema {schema}, and actcache {__version__} reads schemas up to {SCHEMA}"
        raise InvalidModel(problem, file=file, hint="use the actcache that compiled it, or a later one")
    regions = {region["id"]: region for region in content["regions"]}
    compiled_by = content.get("actcache") or str(content.get("tool", "")).removeprefix("actcache ") or None
    per_call = PerCall.from_manifest(text).names()
    return {**content, "schema": schema, "actcache": compiled_by, "regions": regions, "per_call": per_call}


def region_entry(manifest: Mapping[str, Any] | None, region: str) -> Mapping[str, Any]:
    """Return what a manifest (or none) says of a region: nothing, if it does not know it."""
    found: Mapping[str, Any] = manifest["regions"].get(region, {}) if manifest else {}
    return found
