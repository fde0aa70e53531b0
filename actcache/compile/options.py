"""What a user may ask of a compilation, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from actcache.base.per_call import PerCall
from actcache.base.region_spec import RegionSpec
from actcache.errors import InvalidOption

GRANULARITIES = ("auto", "row", "prefix", "tensor")

#: How ``--reads`` ends: only the last position of the output before it is read.
LAST = ":last"

Sample = str | os.PathLike[str] | Mapping[str, npt.ArrayLike]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """The options of one compilation; the attributes are arguments of :func:`actcache.compile.driver.compile_model`.

    Attributes:
        per_call: Inputs and outputs that the compiled model has besides the original's.

    Raises:
        InvalidOption: A value is not possible.
    """

    budget_bytes: int
    samples: Sequence[Sample] = ()
    granularity: str = "auto"
    regions: Sequence[RegionSpec] | None = None
    min_saving: float | None = None
    tolerance: float | None = None
    exact: str | None = None
    dynamic_batch: bool = False
    verify: bool = True
    pure_ops: Collection[str] = ()
    custom_op_libraries: Sequence[str | os.PathLike[str]] = ()
    single_file: bool = False
    outputs: Sequence[str] = ()
    reads: Sequence[str] = ()
    per_call: PerCall = field(default_factory=PerCall)

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            known = ", ".join(GRANULARITIES)
            raise InvalidOption(f"granularity '{self.granularity}' is unknown", hint=f"choose one of {known}")
        if self.granularity == "prefix" and self.regions:
            hint = "leave out --region, or --granularity prefix"
            raise InvalidOption("a region of prefixes begins at the inputs and cannot be named", hint=hint)
        _check_number("min_saving", self.min_saving, "give milliseconds, 0 or more")
        _check_number("tolerance", self.tolerance, "give a number, 0 or more")
        if self.budget_bytes < 1:
            hint = "give the size of the store in bytes, 1 or more"
            raise InvalidOption(f"the budget cannot be {self.budget_bytes} bytes", hint=hint)
        for name in self.pure_ops:
            if ":" not in name:
                raise InvalidOption(f"'{name}' does not name an operator", hint="write --pure-op domain:Op")
        for read in self.reads:
            if not read.endswith(LAST) or read == LAST:
                raise InvalidOption(f"'{read}' does not say what is read", hint=f"write --reads OUTPUT{LAST}")
        if self.exact not in (None, "bits"):
            raise InvalidOption(f"exact '{self.exact}' is unknown", hint="write 'bits', or leave it out")
        if self.exact and not self.verify:
            raise InvalidOption("--exact bits needs verification", hint="leave out --no-verify")

    @property
    def bits(self) -> bool:
        """Whether no difference to the original is accepted, not in one bit."""
        return self.exact == "bits"

    @property
    def read_last(self) -> tuple[str, ...]:
        """Outputs of which callers read the last position alone."""
        return tuple(read.removesuffix(LAST) for read in self.reads)

    @property
    def libraries(self) -> tuple[str, ...]:
        """Custom-op libraries that the model itself needs."""
        return tuple(str(path) for path in self.custom_op_libraries)


def _check_number(name: str, value: float | None, hint: str) -> None:
    if value is not None and not (np.isfinite(value) and value >= 0):
        raise InvalidOption(f"{name} cannot be {value}", hint=hint)
