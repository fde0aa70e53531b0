"""The one exception tree of actcache.

::

    ActcacheError               everything actcache raises on purpose
    ├── InvalidModel            the model cannot be read, is not valid, or this onnxruntime cannot run it
    ├── InvalidSamples          sample inputs that do not fit the model, or none could be made up
    ├── InvalidRegion           a region the user named does not exist or may not be cached (a ValueError too)
    ├── InvalidMetrics          a metrics file is missing, cut off, or of another schema
    ├── InvalidOption           an option, a knob or a name is unknown, or its value makes no sense (a ValueError too)
    ├── OutputError             the result cannot be written
    ├── UnsupportedAudit        an audit log that is empty, is none, or is of a schema that this actcache does not know
    ├── LibraryError            the native library is missing, too old, or built for another platform
    ├── NothingToCache          the model is fine, but nothing in it is worth caching (or safe to cache)
    └── InternalError           actcache failed: a bug, please report it

Every message is one line: the file, the node or tensor, what is wrong, and the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from actcache.passes.refusal import Refusal

#: What the exit code of the command line stands for.
EXIT_WRITTEN, EXIT_OUR_FAILURE, EXIT_BAD_INPUT, EXIT_NOTHING_TO_CACHE = 0, 1, 2, 3


class ActcacheError(Exception):
    """Base of everything actcache raises on purpose.

    Args:
        message: What is wrong.
        file: The file it is about.
        node: The node or the tensor it is about.
        hint: The way out.
    """

    #: Exit code of the command line for this error.
    exit_code: ClassVar[int] = EXIT_BAD_INPUT

    def __init__(
        self, message: str, *, file: str | PathLike[str] | None = None, node: str | None = None, hint: str | None = None
    ) -> None:
        self.message = _one_line(message)
        self.file = fspath(file) if file is not None else None
        self.node = node
        self.hint = _one_line(hint) if hint else None
        super().__init__(self.message)

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.file, self.node, self.message) if part)
        return f"{text}; {self.hint}" if self.hint else text


class InvalidModel(ActcacheError):
    """The model cannot be read, is not valid ONNX, or this onnxruntime cannot run it."""


class InvalidSamples(ActcacheError):
    """Sample inputs do not fit the model, or none were given and none could be made up."""


class InvalidRegion(ActcacheError, ValueError):
    """A region that the user named does not exist in the model, or may not be cached."""


class InvalidMetrics(ActcacheError):
    """A metrics file is missing, cut off, of another schema, or something else."""


class InvalidOption(ActcacheError, ValueError):
    """An option, a knob or a name is unknown, or has a value that makes no sense."""


class OutputError(ActcacheError):
    """The compiled model cannot be written. Nothing half-written remains."""


class UnsupportedAudit(ActcacheError):
    """An audit log is missing, empty, no audit log at all, or of a schema that this actcache does not know."""


class LibraryError(ActcacheError):
    """The native library is missing, too old, built for another platform, or refused by onnxruntime."""


class NothingToCache(ActcacheError):
    """Nothing in the model is worth caching, or safe to cache. Nothing was written.

    Args:
        refusals: Why each part was refused.
        message: What is wrong.
        file: The model.
        hint: The way out.

    Attributes:
        refusals: Why each part was refused.
    """

    exit_code = EXIT_NOTHING_TO_CACHE

    def __init__(
        self,
        refusals: Sequence[Refusal] = (),
        message: str = "nothing in this model is worth caching",
        *,
        file: str | PathLike[str] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, file=file, hint=hint)
        self.refusals = tuple(refusals)


class InternalError(ActcacheError):
    """actcache itself failed: not the fault of the model or of the options."""

    exit_code = EXIT_OUR_FAILURE


def _one_line(text: str) -> str:
    return " ".join(text.split())
