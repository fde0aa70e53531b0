"""An architecture to export: a module that takes tensors by position, example inputs, and what must be proven."""

# mypy: allow-subclassing-any
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

#: Sizes of the axes that exports leave open, in the examples: no two alike, so that none is taken for another.
ROWS, OTHER_ROWS, TOKENS, PAST = 3, 5, 9, 4


@dataclass(frozen=True)
class Given:
    """One input.

    Attributes:
        value: An example.
        axes: Axis to symbol, for the axes whose size is left open.
    """

    value: torch.Tensor
    axes: Mapping[int, str]


@dataclass(frozen=True)
class Rows:
    """What must be proven: outputs that are rows when the inputs along `symbol` are.

    Attributes:
        symbol: The batch axis of the inputs that have it.
        outputs: Output to the axis of its rows.
    """

    symbol: str
    outputs: Mapping[str, int]


@dataclass(frozen=True)
class Subject:
    """An architecture.

    Attributes:
        module: In evaluation mode; its outputs are a tensor or a tuple of tensors.
        inputs: By name, in the order of the module's arguments.
        outputs: Names, in order.
        rows: What must be proven.
        regions: How many regions the compiled model must have at least, each of rows or prefixes.
    """

    module: torch.nn.Module
    inputs: Mapping[str, Given]
    outputs: tuple[str, ...]
    rows: tuple[Rows, ...]
    regions: int = 1


@dataclass(frozen=True)
class Architecture:
    """A named architecture and the ways it is exported.

    Attributes:
        build: Makes the subject, given the implementation of attention (transformers' name for it).
        attention: Implementations to try.
        opsets: To try with each exporter, the first with every implementation of attention.
        optimiser: ``model_type`` for onnxruntime's optimiser of transformer models; empty: it has none for this one.
        forms: Whether the optimised and quantised forms of the first exports are tried as well.
    """

    build: Callable[[str], Subject]
    attention: tuple[str, ...] = ("sdpa",)
    opsets: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"dynamo": (20,), "torchscript": (17,)})
    optimiser: str = ""
    forms: bool = False


class Wrapped(torch.nn.Module):
    """A module whose arguments are given by position and whose outputs are picked by a function.

    Args:
        inner: The module.
        call: Gets the module and the arguments; returns a tensor or a tuple of tensors.
    """

    def __init__(self, inner: torch.nn.Module, call: Callable[..., object]) -> None:
        super().__init__()
        self.inner = inner
        self._call = call
        self.eval()  # TorchScript's exporter puts every module back into the mode of the outermost one

    def forward(self, *arguments: torch.Tensor) -> object:
        return self._call(self.inner, *arguments)


def batch(outputs: tuple[str, ...] | Mapping[str, int], symbol: str = "batch") -> tuple[Rows, ...]:
    """Claim that all outputs are rows along one symbol, on axis 0 where no other is given."""
    axes = outputs if isinstance(outputs, Mapping) else dict.fromkeys(outputs, 0)
    return (Rows(symbol, axes),)


def tokens(vocabulary: int = 99, *, rows: int = ROWS, length: int = TOKENS, symbol: str = "batch") -> Given:
    """Token ids [rows, length]."""
    return Given(torch.randint(3, vocabulary, (rows, length)), {0: symbol, 1: "tokens"})


def mask(*, rows: int = ROWS, length: int = TOKENS, symbol: str = "batch", axis: str = "tokens") -> Given:
    """A mask [rows, length] that hides a different tail of each row."""
    value = torch.ones(rows, length, dtype=torch.int64)
    for row in range(rows):
        value[row, length - row :] = 0
    return Given(value, {0: symbol, 1: axis})


def picture(size: int = 32, *, rows: int = ROWS, symbol: str = "batch", channels: int = 3) -> Given:
    """Pixels [rows, channels, size, size]."""
    return Given(torch.randn(rows, channels, size, size), {0: symbol})
