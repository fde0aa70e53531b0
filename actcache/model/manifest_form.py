"""What readers of a manifest rely on: the types of what they show or compute with. Other keys are left as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class _Original(msgspec.Struct):
    file: str
    sha256: str
    weights_sha256: str | None


class _Policy(msgspec.Struct):
    chosen_by: str
    granularity: str
    min_saving_ms: float | None
    budget_bytes: int | None
    tolerance: float | None
    dynamic_batch: bool
    pure_ops: Sequence[str]
    exact: str | None = None
    outputs: Sequence[str] | None = None
    reads: Mapping[str, int] | None = None


class _Region(msgspec.Struct):
    id: str
    fingerprint: str | None = None
    time_share: float | None = None
    milliseconds: float | None = None
    saving_ms: float | None = None
    rows: float | None = None
    read_bytes: float | None = None
    entry_bytes: float | None = None
    kept_bytes: Mapping[str, float] | None = None
    predicted_reuse: float | None = None
    measured_reuse: float | None = None


class _Output(msgspec.Struct):
    output: int
    judged_by: str
    spread: float | None = None


class _Verification(msgspec.Struct):
    cases: int
    max_abs_error: float
    bit_exact: bool
    outputs: Sequence[_Output] = ()
    region_bits: Mapping[str, bool] = {}


class _Trace(msgspec.Struct):
    played: int
    predicted: float | None
    measured: float
    reuse: Mapping[str, float]


class _Manifest(msgspec.Struct):
    regions: Sequence[_Region]
    actcache: str | None = None
    tool: str | None = None
    onnxruntime: str | None = None
    original: _Original | None = None
    policy: _Policy | None = None
    milliseconds: float | None = None
    measured: bool | None = None
    verify: _Verification | None = None
    trace: _Trace | None = None
    per_call: Mapping[str, str] = {}


def check_form(content: Any) -> None:
    """Raise msgspec.ValidationError, a ValueError, if the content of a manifest is not of the types it should be."""
    msgspec.convert(content, _Manifest)
