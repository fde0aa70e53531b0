"""Two towers on MovieLens: who rated which film, in the order of time, scored by a model made on the spot.

The weights are random, with a fixed seed; the sizes are those of small recommenders. Users and films have no other
features in the data than what stands here: a user's number; a film's number, its genres and its year.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.natural_play import Natural, Played
from benchmarks.natural_repeats import Part, rows_of_inputs
from models import Feed
from models.fetch import fetch
from models.workloads.frames import read_frame

_EMBEDDED, _HIDDEN, _OUT = 256, (1024, 1024, 512), 128
_BATCH = 32
_USERS, _FILMS = 700, 10_000  # rows of the embeddings


class Towers:
    """Writes the model: ``user`` [N], ``film`` [N], ``facts`` [N, genres + 1] to ``score`` [N, 1]."""

    def __init__(self, facts: int) -> None:
        self._facts = facts
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        """Return it."""
        user = self._tower("user", self._embedded("user", _USERS), _EMBEDDED)
        film = self._op("Concat", self._embedded("film", _FILMS), "facts", axis=1)
        both = self._op("Mul", user, self._tower("film", film, _EMBEDDED + self._facts))
        axes = self._weight("axes", np.array([1], np.int64))
        self._nodes.append(helper.make_node("ReduceSum", [both, axes], ["score"], "score", keepdims=1))
        inputs = [
            helper.make_tensor_value_info("user", TensorProto.INT64, ["pairs"]),
            helper.make_tensor_value_info("film", TensorProto.INT64, ["pairs"]),
            helper.make_tensor_value_info("facts", TensorProto.FLOAT, ["pairs", self._facts]),
        ]
        output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["pairs", 1])
        graph = helper.make_graph(self._nodes, "two towers", inputs, [output], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def shares(self) -> tuple[float, float]:
        """Return the towers' shares of the multiplications: users, films."""
        ends = [*_HIDDEN, _OUT]
        users, films = (
            sum(a * b for a, b in zip([first, *ends], ends, strict=False))
            for first in (_EMBEDDED, _EMBEDDED + self._facts)
        )
        return users / (users + films), films / (users + films)

    def _embedded(self, name: str, count: int) -> str:
        return self._op("Gather", self._drawn(f"{name}.table", count, _EMBEDDED), name)

    def _tower(self, name: str, x: str, width: int) -> str:
        for layer, wider in enumerate(_HIDDEN):
            x = self._op("Relu", self._op("Gemm", x, *self._linear(f"{name}.{layer}", width, wider)))
            width = wider
        return self._op("Gemm", x, *self._linear(f"{name}.out", width, _OUT))

    def _linear(self, name: str, inner: int, outer: int) -> tuple[str, str]:
        return self._drawn(f"{name}.weight", inner, outer), self._drawn(f"{name}.bias", outer)

    def _drawn(self, name: str, *shape: int) -> str:
        return self._weight(name, self._random.standard_normal(shape, np.float32) * np.float32(shape[0] ** -0.5))

    def _weight(self, name: str, value: NDArray[np.generic]) -> str:
        self._weights.append(numpy_helper.from_array(value, name))
        return name

    def _op(self, op: str, *reads: str, **attributes: Any) -> str:
        output = f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, reads, [output], output, **attributes))
        return output


def calls(count: int) -> list[Feed]:
    """Return so many batches of ratings, oldest first."""
    frame = read_frame(fetch("movielens_ratings"))
    order = np.argsort(frame["timestamp"], kind="stable")[: count * _BATCH]
    films, numbers = np.unique(frame["movieId"], return_inverse=True)
    texts = [str(text) for text in frame["genres"]]
    genres = sorted({genre for text in texts for genre in text.split("|")})
    places = {genre: place for place, genre in enumerate(genres)}
    facts = np.zeros((len(films), len(genres) + 1), np.float32)
    for film, text, year in zip(numbers, texts, frame["year"], strict=True):
        facts[film, [places[genre] for genre in text.split("|")]] = 1
        facts[film, -1] = 0 if np.isnan(year) else (year - 1980) / 20
    ordered: Feed = {
        "user": frame["userId"][order].astype(np.int64),
        "film": numbers[order].astype(np.int64),
        "facts": facts[numbers[order]],
    }
    return [{name: values[at : at + _BATCH] for name, values in ordered.items()} for at in range(0, len(order), _BATCH)]


def _make(folder: Path, quick: bool) -> Played:
    played = calls(60 if quick else 1800)
    towers = Towers(played[0]["facts"].shape[1])
    path = folder / "towers.onnx"
    onnx.save_model(towers.model(), path)
    users, films = towers.shares()
    parts = [Part("users", users, rows_of_inputs("user")), Part("films", films, rows_of_inputs("film", "facts"))]
    return Played(path, played, len(played) // 3, parts)


MOVIELENS = Natural(
    "movielens",
    "who rates which film, two towers, batch 32",
    "MovieLens' ratings in the order of time; the model is made on the spot, with random weights.",
    _make,
)
