"""Reading a model: from a file that may be anything to a small protobuf with its weights beside it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from actcache.base.free_memory import release_memory
from actcache.errors import InvalidModel
from actcache.model.emit import check_single_file
from actcache.passes.graph.nodes import all_nodes
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.order import topological
from actcache.passes.graph.tensor_data import external_data, is_external
from actcache.passes.rewrite.inline_regions import inline_regions
from actcache.passes.rewrite.local_functions import LocalFunctions
from actcache.passes.rewrite.wanted_outputs import keep_outputs
from actcache.passes.rewrite.weights import WeightFile, all_tensors, move_weights

#: Names inside the compiler's working folder.
BASE_MODEL, WEIGHTS = "base.onnx", "weights.bin"
#: Of ai.onnx, for models that import none: all onnxruntimes that are supported know it, and its If takes every type.
DEFAULT_OPSET = 21
_BROKEN = "no program can run such a file: export the model again"


@dataclass
class LoadedModel:
    """A model on its way through the compiler.

    Attributes:
        source: The user's file.
        functions: The model without its large weights, earlier regions taken out, with its local functions.
        weights: Its large weights.
        recompiled: Whether `source` had been compiled before.
        restricted: Whether outputs of `source` were taken out.
        home: The path of `source` beside which its external data lies.
        part: Which part of `source` it is, for the names of files and regions; empty: all of it.
    """

    source: Path
    functions: LocalFunctions
    weights: WeightFile
    recompiled: bool
    home: Path
    restricted: bool = False
    part: str = ""

    @property
    def proto(self) -> onnx.ModelProto:
        """The model that the analyses see: local functions inlined."""
        return self.functions.inlined

    @property
    def runnable(self) -> Path:
        """The model to run as the original."""
        return self.base if self.recompiled or self.restricted or self.part else self.home

    @property
    def directory(self) -> Path:
        """The working folder: the weights are here, and models that refer to them run from here."""
        return self.weights.path.parent

    def read(self, tensor: onnx.TensorProto) -> npt.NDArray[np.generic]:
        """Return the value of a large weight."""
        return onnx.numpy_helper.to_array(tensor, str(self.directory))

    @property
    def base(self) -> Path:
        """The uncompiled model as it is in the working folder."""
        return self.directory / (f"base.{self.part}.onnx" if self.part else BASE_MODEL)

    def part_of(self, part: str, model: onnx.ModelProto) -> LoadedModel:
        """Return a part of it as a model of its own, laid out beside it; `part`: its name."""
        found = replace(self, functions=LocalFunctions(model), part=part)
        found.base.write_bytes(found.proto.SerializeToString())
        return found


def load_model(
    source: Path, directory: Path, *, single_file: bool = False, outputs: Collection[str] = ()
) -> LoadedModel:
    """Read `source` and lay it out in the working folder `directory`.

    Args:
        source: The model.
        directory: The working folder.
        single_file: The result is to be one file: refuse a model that is too large for that.
        outputs: The outputs to keep; empty: all.

    Raises:
        OutputError: It is.
        InvalidOption: The model has no output of such a name.
        InvalidModel: The file is missing, empty, truncated, not ONNX, or its external data is missing.
    """
    proto = parse_model(source)
    try:
        recompiled = inline_regions(proto)
        _list_inputs_only(proto)
        _drop_copies(proto.graph)
        _sort(proto.graph)
        _import_default_domain(proto)
        if outputs:
            keep_outputs(proto, outputs)
        home = data_home(source, proto)
    except InvalidModel as error:
        raise InvalidModel(error.message, file=source, node=error.node, hint=error.hint) from error
    if single_file:
        check_single_file(proto, source)
    weights = move_weights(proto, home, directory / WEIGHTS)
    slim = proto.SerializeToString()
    del proto  # protobuf frees the fields that were cleared only with the whole message
    release_memory()
    loaded = LoadedModel(
        source, LocalFunctions(onnx.ModelProto.FromString(slim)), weights, recompiled, home, bool(outputs)
    )
    loaded.base.write_bytes(loaded.proto.SerializeToString())
    _check(loaded)
    return loaded


def check_is_file(source: Path) -> None:
    """Raise InvalidModel if there is no such file, or if it is a folder or a device."""
    if not source.is_file():
        raise InvalidModel("this is not a file" if source.exists() else "no such file", file=source)


def parse_model(source: Path) -> onnx.ModelProto:
    """Read the protobuf of a model, without its external data.

    Raises:
        InvalidModel: The file is missing, empty, truncated, or not ONNX.
    """
    try:
        check_is_file(source)
        if source.stat().st_size == 0:
            raise InvalidModel("the file is empty", file=source, hint="export or download the model again")
        proto = onnx.load_model(str(source), format="protobuf", load_external_data=False)
    except OSError as error:
        raise InvalidModel(f"cannot be read ({error.strerror or error})", file=source) from error
    except DecodeError as error:
        hint = "a truncated download and other formats (.ort, .pt, .tflite) look like this"
        raise InvalidModel("this is not a complete ONNX model", file=source, hint=hint) from error
    if not proto.graph.node or not proto.opset_import:
        raise InvalidModel("the file has no ONNX graph", file=source, hint="give a model in ONNX's protobuf format")
    _check_names(proto.graph, source)
    return proto


def _check_names(graph: onnx.GraphProto, source: Path) -> None:
    """Refuse names in other encodings: for some of them protobuf gives bytes.

    Raises:
        InvalidModel: It did.
        UnicodeDecodeError: It does not read one at all.
    """
    names = [value.name for values in (graph.input, graph.output, graph.value_info) for value in values]
    for node in all_nodes(graph.node):
        names += (node.op_type, node.domain, node.name, *node.input, *node.output)
    if not all(isinstance(name, str) for name in names):
        raise not_in_utf8(source)


def not_in_utf8(source: Path) -> InvalidModel:
    """Return the error for a model whose names are in another encoding."""
    hint = "export the model again with names in UTF-8"
    return InvalidModel("a name in it is not in UTF-8", file=source, hint=hint)


def data_home(source: Path, proto: onnx.ModelProto) -> Path:
    """Return the path of the model beside which its external data lies: a link to the model may stand elsewhere.

    Folders are resolved: onnxruntime refuses external data below a folder that is a link.
    """
    locations = {external_data(tensor).location for tensor, _ in all_tensors(proto) if is_external(tensor)}
    paths = (source.parent.resolve() / source.name, source.resolve())
    return next((path for path in paths if all((path.parent / name).exists() for name in locations)), paths[0])


def _list_inputs_only(proto: onnx.ModelProto) -> None:
    """Before IR version 4 initializers were listed as inputs too and could not be overridden: state it as later."""
    if proto.ir_version >= 4:
        return
    fixed = {t.name for t in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in fixed]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    proto.ir_version = 4


def _drop_copies(graph: onnx.GraphProto) -> None:
    """Leave one of equal weights of one name. Where they differ, onnxruntime 1.18 takes the last, 1.32 the first."""
    found: dict[str, onnx.TensorProto] = {}
    for place in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[place]
        if found.setdefault(tensor.name, tensor) is tensor:
            continue
        if found[tensor.name] != tensor:
            problem = (
                f"two different weights are named '{tensor.name}', and versions of onnxruntime differ in which counts"
            )
            raise InvalidModel(problem)
        del graph.initializer[place]


def _sort(graph: onnx.GraphProto) -> None:
    """Put nodes behind what they read: onnxruntime takes the main graph (no other) in any order."""
    nodes = topological(graph.node)
    if len(nodes) < len(graph.node):
        raise InvalidModel("its nodes read each other's results in a circle", hint=_BROKEN)
    if any(one is not two for one, two in zip(nodes, graph.node, strict=True)):
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def _import_default_domain(proto: onnx.ModelProto) -> None:
    """A model of ai.onnx.ml alone may not import ai.onnx, where the operators around a region are from."""
    if all(canonical_domain(opset.domain) for opset in proto.opset_import):
        proto.opset_import.add(domain="", version=DEFAULT_OPSET)


def _check(loaded: LoadedModel) -> None:
    """Check structure only where actcache depends on it: every name is defined once, and before it is read; constants
    can be read.
    """
    graph = loaded.proto.graph
    for tensor, _ in all_tensors(loaded.proto):
        if not is_external(tensor):
            try:
                onnx.numpy_helper.to_array(tensor)
            except Exception as error:  # numpy's, of a size or a type
                problem, node = "its data does not fit its type and shape", f"constant '{tensor.name}'"
                raise InvalidModel(problem, file=loaded.source, node=node, hint=_BROKEN) from error
    known = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    known |= {t.values.name for t in graph.sparse_initializer}
    for node in graph.node:
        label = f"{node.op_type} '{node.name}'"
        for name in node.input:
            if name and name not in known:
                raise InvalidModel(
                    f"reads '{name}', which nothing before it defines", file=loaded.source, node=label, hint=_BROKEN
                )
        for name in node.output:
            if name and name in known:
                raise InvalidModel(f"defines '{name}' a second time", file=loaded.source, node=label, hint=_BROKEN)
            known.add(name)
    for value in graph.output:
        if value.name not in known:
            raise InvalidModel(f"output '{value.name}' is defined by no node", file=loaded.source, hint=_BROKEN)
