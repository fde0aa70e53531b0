"""What there is to fetch: the models and the data of catalogue.json, as typed, immutable values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class UnknownName(KeyError):
    """The catalogue has no entry of this name; the message lists those it has."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the message in quotes


@dataclass(frozen=True)
class Asset:
    """One pinned file in one package: a model, or data that a workload reads."""

    name: str
    summary: str
    package: str
    version: str
    path_in_package: str  # with a "*": all files that match it, one after the other
    size: int  # bytes
    sha256: str
    licence: str
    file: str  # its name in the cache folder


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type (as onnxruntime spells it: "float", "int64") and shape of a graph input or
    output. A dimension that the model leaves open is a string, or None where it has no name.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Model(Asset):
    """A model: its file, its signature, and how it is fed (`models.feed` does it)."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: Mapping[str, int]
    nodes: int
    how_to_feed: str
    default_size: int | None  # of the axis that `feed` can vary; None: every size is fixed
    size_unit: str | None  # "tokens" or "pixels"
    vocabulary: int | None  # token ids are below this
    rows_independent: bool  # False: a row's result depends on the other rows of its batch
    zero_rows: str  # the original on a batch of 0 rows: "runs", "fails", or "aborts" (the process)
    notes: str


def _tensor(entry: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(entry["name"], entry["dtype"], tuple(entry["shape"]))


def _source(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that models and data have in common."""
    fields = ("name", "summary", "package", "version", "path_in_package", "size", "sha256", "licence")
    return {field: entry[field] for field in fields}


def _model(entry: Mapping[str, Any]) -> Model:
    return Model(
        **_source(entry),
        file=f"{entry['name']}.onnx",
        inputs=tuple(map(_tensor, entry["inputs"])),
        outputs=tuple(map(_tensor, entry["outputs"])),
        opset=entry["opset"],
        nodes=entry["nodes"],
        how_to_feed=entry["feed"],
        default_size=entry["default_size"],
        size_unit=entry["size_unit"],
        vocabulary=entry.get("vocabulary"),
        rows_independent=entry["rows_independent"],
        zero_rows=entry["zero_rows"],
        notes=entry["notes"],
    )


def _load() -> tuple[dict[str, Model], dict[str, Asset]]:
    text = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    document = json.loads(text)
    models = [_model(entry) for entry in document["models"]]
    data = [Asset(**_source(entry), file=entry["file"]) for entry in document["data"]]
    return {model.name: model for model in models}, {asset.name: asset for asset in data}


MODELS, DATA = _load()


def model(name: str) -> Model:
    """The model of this name; UnknownName if there is none."""
    if name not in MODELS:
        raise UnknownName(f"no model named {name!r}; there are: {', '.join(sorted(MODELS))}")
    return MODELS[name]


def asset(name: str) -> Asset:
    """The model or the data of this name; UnknownName if there is none."""
    if name in DATA:
        return DATA[name]
    if name not in MODELS:
        known = ", ".join(sorted([*MODELS, *DATA]))
        raise UnknownName(f"nothing named {name!r} in the catalogue; there are: {known}")
    return MODELS[name]
