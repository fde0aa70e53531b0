"""What becomes of an export on its way to production: optimised by onnxruntime, quantised in each of its ways."""

# mypy: allow-subclassing-any
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from tests.exports.exporting import NotExportable, quiet
from tests.exports.subject import Subject

#: Sizes that onnxruntime's optimiser of transformer models is told, of all configurations here.
HEADS, HIDDEN = 4, 64
#: The one form whose rows depend on each other.
DYNAMIC = "dynamic int8"


def optimised(subject: Subject, source: Path, target: Path, kind: str) -> None:
    """As a session writes it: fused operators of com.microsoft."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def fused(subject: Subject, source: Path, target: Path, kind: str) -> None:
    """As onnxruntime's tool for transformer models writes it."""
    from onnxruntime.transformers.optimizer import optimize_model  # it sets logging up when it is imported

    made = optimize_model(str(source), model_type=kind, num_heads=HEADS, hidden_size=HIDDEN, opt_level=0, use_gpu=False)
    made.save_model_to_file(str(target))


def dynamic(subject: Subject, source: Path, target: Path, kind: str) -> None:
    """int8 weights, and activations by the scale of each call."""
    quantize_dynamic(_typed(source), str(target), weight_type=QuantType.QInt8)


def qdq(subject: Subject, source: Path, target: Path, kind: str) -> None:
    """Static scales, as pairs of QuantizeLinear and DequantizeLinear."""
    quantize_static(_typed(source), str(target), _Calls(subject, source), quant_format=QuantFormat.QDQ)


def qoperator(subject: Subject, source: Path, target: Path, kind: str) -> None:
    """Static scales, in quantised operators."""
    quantize_static(_typed(source), str(target), _Calls(subject, source), quant_format=QuantFormat.QOperator)


FORMS: Mapping[str, Callable[[Subject, Path, Path, str], None]] = {
    "optimised": optimised,
    "fused": fused,
    DYNAMIC: dynamic,
    "static QDQ": qdq,
    "static QOperator": qoperator,
}


#: The forms that round.
QUANTISED = frozenset(name for name in FORMS if name.startswith(("dynamic", "static")))


def make_form(form: str, subject: Subject, source: Path, target: Path, kind: str) -> None:
    """Write the form of an export.

    Raises:
        NotExportable: onnxruntime's tool fails, or its result does not run on the example.
    """
    try:
        with quiet():
            FORMS[form](subject, source, target, kind)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        session = ort.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
        session.run(None, _example(subject, target))
    except Exception as error:
        raise NotExportable(f"{type(error).__name__}: {' '.join(str(error).split())[:120]}") from error
    finally:
        logging.getLogger().setLevel(logging.WARNING)


class _Calls(CalibrationDataReader):
    """The example inputs, once."""

    def __init__(self, subject: Subject, source: Path) -> None:
        self._left = [_example(subject, source)]

    def get_next(self) -> dict[str, object] | None:
        return self._left.pop() if self._left else None


def _example(subject: Subject, path: Path) -> dict[str, object]:
    names = {value.name for value in onnx.load(path, load_external_data=False).graph.input}
    return {name: given.value.numpy() for name, given in subject.inputs.items() if name in names}


def _typed(source: Path) -> onnx.ModelProto:
    """The model with the types of its values, which the quantiser asks for."""
    return onnx.shape_inference.infer_shapes(onnx.load(source))
