"""The two exporters of PyTorch, and check of what they made against the module itself."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from tests.exports.subject import Subject

EXPORTERS = ("dynamo", "torchscript")


class NotExportable(Exception):
    """The exporter fails, or what it makes does not compute what the module does."""


def export(subject: Subject, path: Path, exporter: str, opset: int) -> None:
    """Export a subject to `path`.

    Raises:
        NotExportable: With the exporter's own words.
    """
    arguments = tuple(given.value for given in subject.inputs.values())
    common = {
        "input_names": list(subject.inputs),
        "output_names": list(subject.outputs),
        "opset_version": opset,
        "verbose": False,
    }
    try:
        with quiet(), torch.no_grad():
            if exporter == "dynamo":
                axes_of_each = tuple(dict(given.axes) for given in subject.inputs.values())
                common["dynamic_shapes"] = (axes_of_each,) if _takes_any_number(subject.module) else axes_of_each
                torch.onnx.export(subject.module, arguments, path, dynamo=True, external_data=False, **common)
            else:
                axes = {name: dict(given.axes) for name, given in subject.inputs.items()}
                torch.onnx.export(subject.module, arguments, path, dynamo=False, dynamic_axes=axes, **common)
    except Exception as error:
        raise NotExportable(_first_line(error)) from error
    _check(subject, path)


def _takes_any_number(module: torch.nn.Module) -> bool:
    """Whether a module takes ``*arguments``: the exporter then wants one tuple more."""
    parameters = inspect.signature(module.forward).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)


def _check(subject: Subject, path: Path) -> None:
    """Hold the export to the module, on the example and with one row less."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for fewer in (0, 1):
            given = {name: without_rows(subject, name, fewer) for name in subject.inputs}
            with torch.no_grad():
                expected = subject.module(*given.values())
            names = {i.name for i in session.get_inputs()}
            got = session.run(list(subject.outputs), {n: v.numpy() for n, v in given.items() if n in names})
            for name, left, right in zip(
                subject.outputs, got, expected if isinstance(expected, tuple) else (expected,), strict=True
            ):
                if left.shape != tuple(right.shape) or not np.allclose(left, right.numpy(), rtol=1e-3, atol=1e-3):
                    raise NotExportable(f"the export does not compute '{name}' as the module does")
    except NotExportable:
        raise
    except Exception as error:
        raise NotExportable(_first_line(error)) from error


def without_rows(subject: Subject, name: str, fewer: int) -> torch.Tensor:
    """An example input with some rows less on every batch axis."""
    given = subject.inputs[name]
    symbols = {rows.symbol for rows in subject.rows}
    value = given.value
    for axis, symbol in given.axes.items():
        if symbol in symbols:
            value = value.narrow(axis, 0, value.shape[axis] - fewer)
    return value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters print and warn about to themselves, also what they print from C++."""
    logging.disable(logging.WARNING)
    sys.stdout.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        with open(os.devnull, "wb") as nowhere, warnings.catch_warnings():
            for number, _ in kept:
                os.dup2(nowhere.fileno(), number)
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        logging.disable(logging.NOTSET)


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"
