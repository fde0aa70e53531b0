"""actcache: a memoising compiler for ONNX Runtime.

``compile_model`` finds the expensive parts of a model whose results can be reused and writes a model that
caches them; ``InferenceSession`` (or ``register`` with plain onnxruntime) runs it; ``stats``, ``configure``,
``invalidate`` and ``pin`` control the store of this process; ``record`` writes down calls for the compiler to choose
by.
"""

from __future__ import annotations

import sys

from actcache._version import __version__

if sys.platform != "linux":
    raise ImportError(
        f"actcache runs on Linux (x86-64, aarch64) only, and this is {sys.platform};"
        " on macOS and Windows it can be used in a Linux container or in WSL"
    )

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from actcache.base.region_spec import RegionSpec
    from actcache.compile.driver import compile_model
    from actcache.compile.result import CompileResult
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
    from actcache.learn.explicit import InferenceSession
    from actcache.model.feed_file import save_sample
    from actcache.passes.refusal import Refusal
    from actcache.serve.knobs import configuration, configure
    from actcache.serve.recorder import Recorder, record
    from actcache.serve.runtime import flush, invalidate, library_path, pin, register, stats, unpin

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
    "__version__",
    "compile_model",
    "configuration",
    "configure",
    "flush",
    "invalidate",
    "library_path",
    "pin",
    "record",
    "register",
    "save_sample",
    "stats",
    "unpin",
]

# Loaded at first use: a serving process needs neither onnx nor the compiler. `--version`, and a program of
# `actcache run` that has no models, need nothing.
_LAZY = {
    **dict.fromkeys(
        (
            "ActcacheError",
            "InternalError",
            "InvalidMetrics",
            "InvalidModel",
            "InvalidOption",
            "InvalidRegion",
            "InvalidSamples",
            "LibraryError",
            "NothingToCache",
            "OutputError",
            "UnsupportedAudit",
        ),
        "actcache.errors",
    ),
    "RegionSpec": "actcache.base.region_spec",
    "CompileResult": "actcache.compile.result",
    "compile_model": "actcache.compile.driver",
    "Refusal": "actcache.passes.refusal",
    "Recorder": "actcache.serve.recorder",
    "record": "actcache.serve.recorder",
    "save_sample": "actcache.model.feed_file",
    "InferenceSession": "actcache.learn.explicit",
    "configuration": "actcache.serve.knobs",
    "configure": "actcache.serve.knobs",
    "flush": "actcache.serve.runtime",
    "invalidate": "actcache.serve.runtime",
    "library_path": "actcache.serve.runtime",
    "pin": "actcache.serve.runtime",
    "register": "actcache.serve.runtime",
    "stats": "actcache.serve.runtime",
    "unpin": "actcache.serve.runtime",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'actcache' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def load_ipython_extension(ipython: object) -> None:
    """``%load_ext actcache``: the notebook's sessions learn, as after ``import actcache.auto``."""
    import actcache.auto  # noqa: F401
