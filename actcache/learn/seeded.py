"""Models that draw random numbers by a seed: at every start they draw the same, in the same order.

A compiled model would draw others, and so would a session after calls that the program did not make.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from actcache.passes.graph.nodes import all_nodes
from actcache.passes.graph.op_facts import ONNX_DOMAINS, RANDOM


def draws_by_a_seed(model: Path) -> str | None:
    """Return the operator that does, with the node's name; None if none does, or if the file is no model."""
    try:
        found = onnx.load(model, load_external_data=False)
    except Exception:  # the compiler says what is wrong with it
        return None
    functions = (node for function in found.functions for node in function.node)
    for node in all_nodes([*found.graph.node, *functions]):
        domain = "" if node.domain in ONNX_DOMAINS else node.domain
        if (domain, node.op_type) in RANDOM and any(attribute.name == "seed" for attribute in node.attribute):
            return f"{node.op_type} '{node.name or node.output[0]}'"
    return None
