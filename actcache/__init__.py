"""actcache: a memoising compiler for ONNX Runtime.

``compile_model`` finds the expensive parts of a model whose results can be reused and writes a model that
caches them; ``InferenceSession`` (or ``register`` with plain onnxruntime) runs it; ``stats``, ``configure``,
``invalidate`` and ``pin`` control the store of this process; ``record`` writes down calls for the compiler to choose
by.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from actcache.errors import (
    ActcacheError,
    InternalError,
    InvalidMetrics,
    InvalidModel,
    InvalidOption,
    InvalidRegion,
    InvalidSamples,
    LibraryError,
    NothingToCache,
    OutputError,
    UnsupportedAudit,
)
from actcache.region_spec import RegionSpec

if TYPE_CHECKING:
    from actcache.compiler import compile_model
    from actcache.feed_file import save_sample
    from actcache.knobs import configuration, configure
    from actcache.passes.refusal import Refusal
    from actcache.recorder import Recorder, record
    from actcache.result import CompileResult
    from actcache.runtime import InferenceSession, invalidate, library_path, pin, register, stats, unpin

__version__ = "0.1.0"

__all__ = [
    "ActcacheError",
    "CompileResult",
    "InferenceSession",
    "InternalError",
    "InvalidMetrics",
    "InvalidModel",
    "InvalidOption",
    "InvalidRegion",
    "InvalidSamples",
    "LibraryError",
    "NothingToCache",
    "OutputError",
    "Recorder",
    "Refusal",
    "RegionSpec",
    "UnsupportedAudit",
    "compile_model",
    "configuration",
    "configure",
    "invalidate",
    "library_path",
    "pin",
    "record",
    "register",
    "save_sample",
    "stats",
    "unpin",
]

# Loaded at first use: a serving process needs neither onnx nor the compiler, and `--version` needs nothing.
_LAZY = {
    "CompileResult": "actcache.result",
    "compile_model": "actcache.compiler",
    "Refusal": "actcache.passes.refusal",
    "Recorder": "actcache.recorder",
    "record": "actcache.recorder",
    "save_sample": "actcache.feed_file",
    "InferenceSession": "actcache.runtime",
    "configuration": "actcache.knobs",
    "configure": "actcache.knobs",
    "invalidate": "actcache.runtime",
    "library_path": "actcache.runtime",
    "pin": "actcache.runtime",
    "register": "actcache.runtime",
    "stats": "actcache.runtime",
    "unpin": "actcache.runtime",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'actcache' has no attribute '{name}'")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
