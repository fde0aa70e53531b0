"""A program that has onnx infer the types of each of its operators behind one that it does not know.

Each operator is printed before it is tried: what comes last, if the process dies, is to blame.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from actcache.passes.graph.inference import inferred

_Kind = onnx.defs.OpSchema.AttrType
_VALUES = {
    _Kind.FLOAT: 1.0,
    _Kind.INT: 1,
    _Kind.STRING: "x",
    _Kind.FLOATS: [1.0],
    _Kind.INTS: [1],
    _Kind.STRINGS: ["x"],
    _Kind.TENSOR: helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]),
}


def models() -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield models of one operator, in each of its versions: one input has no type, or none has; with and without
    attributes; in the main graph, and in a branch.
    """
    for schema in onnx.defs.get_all_schemas_with_history():
        for count in {schema.min_input, min(schema.max_input, schema.min_input + 2)} - {0}:
            for place in (None, *range(count)):
                inputs = [f"unknown{i}" if place in (None, i) else f"known{i}" for i in range(count)]
                for full in (False, True):
                    node = helper.make_node(schema.name, inputs, ["y"], domain=schema.domain)
                    node.attribute.extend(_attributes(schema) if full else ())
                    yield f"{schema.domain}.{schema.name}-{schema.since_version}", _model(schema, node)


def _attributes(schema: onnx.defs.OpSchema) -> Iterator[onnx.AttributeProto]:
    for name, attribute in schema.attributes.items():
        if attribute.type in _VALUES:
            yield helper.make_attribute(name, _VALUES[attribute.type])


def _model(schema: onnx.defs.OpSchema, node: onnx.NodeProto) -> onnx.ModelProto:
    body = helper.make_graph([node], "body", [], [onnx.ValueInfoProto(name="y")])
    nodes = [
        helper.make_node("Unknown", [], [name for name in node.input if name.startswith("unknown")], domain="un"),
        node,
        helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body),
    ]
    known = [name for name in node.input if name.startswith("known")]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in known]
    inputs.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in "yz"])
    domains = {"": 17, "un": 1, schema.domain: schema.since_version}
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in domains.items()])


def main() -> None:
    """Try all of them."""
    number = 0
    for number, (operator, model) in enumerate(models(), 1):  # noqa: B007
        print(operator, flush=True)
        inferred(model)
    print(number)


if __name__ == "__main__":
    main()
