"""``actcache.InferenceSession``: for who owns the code, a session of a compiled model, or one that learns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_inference_collection as collection

from actcache.errors import InvalidOption
from actcache.learn import bindings, options
from actcache.learn.session import learning_class
from actcache.serve import runtime

_Base: Any = runtime.InferenceSession
if not getattr(_Base, "_actcache_learns", False):  # `actcache run` has not been here
    options.observe(collection.C.SessionOptions)
    bindings.observe(collection.IOBinding)
    _Base = learning_class(_Base)


class InferenceSession(_Base):  # type: ignore[misc, unused-ignore]
    """``onnxruntime.InferenceSession`` that knows actcache's operators.

    Takes what the original takes. The operators are registered with `sess_options` (or with fresh options).

    Args:
        path_or_bytes: A compiled model; with `compile`, any model.
        sess_options: Options of the session. With `compile`, create them after the first use of the name
            ``actcache.InferenceSession``.
        providers: Execution providers.
        compile: ``"auto"``: run the model as it is, record its calls, compile it in the background, and switch to the
            compiled model once that pays (``docs/run.md``). None: run it.
        **kwargs: As onnxruntime's.

    Raises:
        LibraryError: As :func:`actcache.register`.
        InvalidOption: `compile` is something else.
    """

    def __init__(
        self,
        path_or_bytes: str | bytes | PathLike[str],
        sess_options: onnxruntime.SessionOptions | None = None,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        *,
        compile: str | None = None,
        **kwargs: Any,
    ) -> None:
        if compile not in (None, "auto"):
            raise InvalidOption(f"compile '{compile}' is unknown", hint="write 'auto', or leave it out")
        self._wants_to_learn = compile == "auto"
        super().__init__(path_or_bytes, sess_options, providers, **kwargs)
        learner = self._learner
        if compile and learner is not None and learner.reason is not None:
            warnings.warn(f"this session stays as it is: {learner.reason}", RuntimeWarning, stacklevel=2)
