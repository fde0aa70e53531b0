"""Quantisation annotations follow their tensors into a region's branch."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx


def move_annotations(
    graph: onnx.GraphProto, branch: onnx.GraphProto, written: Collection[str], inside: Mapping[str, str]
) -> None:
    """Move the annotations of some tensors.

    Args:
        graph: Has them.
        branch: Gets them.
        written: The tensors, by their names in `graph`.
        inside: What they are called in `branch`, where that is another name.
    """
    stay = []
    for annotation in graph.quantization_annotation:
        if annotation.tensor_name in written:
            moved = branch.quantization_annotation.add()
            moved.CopyFrom(annotation)
            moved.tensor_name = inside.get(annotation.tensor_name, annotation.tensor_name)
        else:
            stay.append(annotation)
    if branch.quantization_annotation:
        del graph.quantization_annotation[:]
        graph.quantization_annotation.extend(stay)
