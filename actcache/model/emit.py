"""Writing the compiled model: all of it or nothing.

Weights go to a file beside the model whose name carries a digest of what it holds. A model therefore never refers to
the weights of another compilation, whatever moment the machine stops at; the model itself appears by an atomic rename,
last.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError

from actcache.base.files import OTHER_OUTPUT, file_error, writing
from actcache.errors import OutputError
from actcache.passes.graph.nodes import tensor_bytes
from actcache.passes.graph.tensor_data import is_external
from actcache.passes.rewrite.weights import WeightFile, all_tensors, inline_weights, put_in_place, rename_weight_file

#: Below this a file of its own for the weights is more trouble than the memory it saves.
SEPARATE_BYTES = 1 << 20
_PROTOBUF_LIMIT = 2**31 - 1


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` for the compilation, gone afterwards.

    Raises:
        OutputError: Nothing can be written there, or the disk becomes full meanwhile.
    """
    with writing(target, OTHER_OUTPUT):
        if target.is_dir():
            raise OutputError("this is a folder, not a file to write", file=target, hint=OTHER_OUTPUT)
        folder = tempfile.mkdtemp(prefix=".actcache-", dir=target.parent)
        try:
            yield Path(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def emit(model: onnx.ModelProto, weights: WeightFile, target: Path, *, single_file: bool = False) -> list[Path]:
    """Write a compiled model.

    Args:
        model: The model; its large weights are in `weights`. It is edited.
        weights: The weights, in the working folder; the file is moved from there.
        target: The file to write.
        single_file: Keep the weights inside the model.

    Returns:
        The files that make up the model, `target` first.

    Raises:
        OutputError: A file cannot be written, or a single file would exceed protobuf's 2 GB.
    """
    # Weights that were outside stay there, however small: a session may replace them.
    were_outside = weights.size > 0 and bool(weights.sources)
    separate = not single_file and (were_outside or external_bytes(model) >= SEPARATE_BYTES)
    superseded = {path for path in _weight_files_of(target) if path.resolve() not in weights.sources}
    written = [target]
    data: Path | None = None
    if separate:
        data = target.with_name(f"{target.stem}.{weights.digest[:12]}.data")
        put_in_place(model)
        rename_weight_file(model, data.name)
        written.append(data)
    else:
        check_single_file(model, target)
        inline_weights(model, weights.path.parent)
    is_new = data is not None and not data.exists()
    temporary = weights.path.with_name("compiled.tmp")
    try:
        temporary.write_bytes(model.SerializeToString())
        if data is not None:
            weights.path.replace(data)
        temporary.replace(target)
    except (OSError, EncodeError) as error:
        if data is not None and is_new:
            data.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise file_error(error, target, OTHER_OUTPUT) from error
        raise OutputError(f"cannot be written ({error})", file=target) from error
    for old in superseded.difference(written):
        old.unlink(missing_ok=True)
    return written


def check_single_file(model: onnx.ModelProto, file: Path) -> None:
    """Raise OutputError if the model with its weights is too large to be one file."""
    size = external_bytes(model) + model.ByteSize()
    if size > _PROTOBUF_LIMIT:
        problem = f"the model has {size / 1e9:.1f} GB, more than the 2 GB of a single file"
        raise OutputError(problem, file=file, hint="leave out --single-file")


def external_bytes(model: onnx.ModelProto) -> int:
    """Return how many bytes of the model's tensors lie outside of it."""
    return sum(tensor_bytes(tensor) for tensor, _ in all_tensors(model) if is_external(tensor))


def _weight_files_of(target: Path) -> set[Path]:
    """Weight files that an earlier compilation wrote for `target`, told by their names."""
    found = target.parent.glob(f"{glob.escape(target.stem)}.{'[0-9a-f]' * 12}.data")
    return {path for path in found if path.is_file()}
