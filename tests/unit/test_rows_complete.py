"""Every operator that ONNX defines, or that this onnxruntime can run, has a row rule or is refused in words."""

from __future__ import annotations

import onnx
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as native

from actcache.passes.graph.op_facts import NON_TENSOR, RANDOM, RUNTIME_OPERATORS, canonical_domain
from actcache.passes.rows import RULES

#: Interpreted without a rule.
_BUILT_IN = {("", name) for name in ("Constant", "If", "Loop", "Scan")}


def covered(key: tuple[str, str]) -> bool:
    return key in RULES or key in NON_TENSOR or key in RANDOM or key in _BUILT_IN


@pytest.mark.parametrize("domain", ["", "ai.onnx.ml"])
def test_every_operator_of_onnx(domain: str) -> None:
    names = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == domain}
    assert len(names) > 10
    assert not [name for name in sorted(names) if not covered((domain, name))]


def test_every_operator_that_onnxruntime_runs() -> None:
    """Those of ai.onnx that ONNX does not define (any more) end a region: purity knows nothing about them."""
    kernels = {(canonical_domain(k.domain), k.op_name) for k in native.get_all_opkernel_def()}
    kernels -= {("", name) for _, name in kernels if ("", name) not in RUNTIME_OPERATORS and not onnx.defs.has(name)}
    assert len(kernels) > 200
    assert not [f"{domain}:{name}" for domain, name in sorted(kernels) if not covered((domain, name))]


def test_rules_are_of_operators_that_exist() -> None:
    known = {(canonical_domain(s.domain), s.name) for s in native.get_all_operator_schema()}
    known |= {(s.domain, s.name) for s in onnx.defs.get_all_schemas_with_history()}
    assert not [key for key in RULES if key not in known]
