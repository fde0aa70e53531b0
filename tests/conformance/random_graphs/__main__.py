"""``python -m tests.conformance.random_graphs``: what random graphs cover, and small ones of those that fail.

``--examples N --seed S``: the operators in these graphs, and those of the registry that are in none of them.
``--outcomes PATH``: how many came to rows, from what ``python -m tests.conformance --part random --json PATH`` wrote.
``--shrink NAME``: a small graph that fails, made from the one of this name, which does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

import onnx.printer

from actcache.passes.graph.nodes import subgraphs
from actcache.passes.rows import RULES
from tests.conformance.check import check
from tests.conformance.random_graphs.drawing import make, names, shrunk
from tests.conformance.subject import Subject


def main() -> None:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.random_graphs", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--outcomes", metavar="PATH")
    parser.add_argument("--shrink", metavar="NAME")
    asked = parser.parse_args()
    if asked.shrink:
        _shrink(asked.shrink)
    else:
        _cover(asked.examples, asked.seed)
    if asked.outcomes:
        verdicts = Counter(json.loads(line)["verdict"] for line in Path(asked.outcomes).read_text().splitlines())
        print(f"verdicts: {', '.join(f'{verdict} {count}' for verdict, count in verdicts.most_common())}")


def operators(graph: onnx.GraphProto) -> Counter[tuple[str, str]]:
    """Count the operators of a graph and of the bodies in it."""
    found = Counter((node.domain, node.op_type) for node in graph.node)
    for node in graph.node:
        for body in subgraphs(node):
            found += operators(body)
    return found


def _cover(examples: int, seed: int) -> None:
    graphs: Counter[tuple[str, str]] = Counter()
    nodes = 0
    for name in names(examples, seed):
        found = operators(make(name).model.graph)
        nodes += found.total()
        graphs.update(found.keys())
    missing = {key: rule for key, rule in RULES.items() if key not in graphs}
    refused = [_named(key) for key, rule in missing.items() if rule.barrier]
    missed = [_named(key) for key, rule in missing.items() if not rule.barrier]
    print(f"{examples} graphs of {nodes / examples:.1f} nodes on average, {len(graphs)} operators")
    print(f"operators with a row rule that are in none: {', '.join(missed) or 'none'}")
    print(f"refused as a whole, and in none: {', '.join(refused) or 'none'}")
    print("graphs by operator:", ", ".join(f"{_named(key)} {count}" for key, count in graphs.most_common()))


def _named(key: tuple[str, str]) -> str:
    return ":".join(part for part in key if part)


def _shrink(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:

        def wrong(subject: Subject) -> bool:
            return check(subject, Path(folder)).verdict == "wrong"

        smallest = shrunk(name, wrong)
        outcome = check(smallest, Path(folder))
    print(onnx.printer.to_text(smallest.model))
    print("inputs:", [{name: value.shape for name, value in feed.items()} for feed in smallest.feeds])
    print(*outcome.problems, sep="\n")


if __name__ == "__main__":
    main()
