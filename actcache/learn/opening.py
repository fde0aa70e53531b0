"""How a session was made, so that the same can be done again: with the original model, or with the compiled one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actcache.learn.options import Taken

if TYPE_CHECKING:
    from actcache.learn.cache import AnyPath

#: Attributes of onnxruntime's session that come from the session in C++ below it, and what they are called there.
_FROM_BELOW = {
    "_inputs_meta": "inputs_meta",
    "_outputs_meta": "outputs_meta",
    "_overridable_initializers": "overridable_initializers",
    "_input_meminfos": "input_meminfos",
    "_output_meminfos": "output_meminfos",
    "_input_epdevices": "input_epdevices",
    "_model_meta": "model_meta",
    "_profiling_start_time_ns": "get_profiling_start_time_ns",
}


class Opening(NamedTuple):
    """What ``InferenceSession`` was given.

    Attributes:
        real: onnxruntime's own class.
        model: A resolved path, or the model itself.
        taken: The session's options.
        providers: As they were given.
        provider_options: As they were given.
        keywords: The other arguments.
    """

    real: Any
    model: str | bytes
    taken: Taken
    providers: Sequence[Any] | None
    provider_options: Sequence[Any] | None
    keywords: Mapping[str, Any]

    @property
    def path(self) -> str | None:
        """The model's file; None: it was given as bytes."""
        return None if isinstance(self.model, bytes) else self.model

    def original(self) -> Any:
        """Return a plain session of the original model."""
        options = self.taken.copy()
        return self.real(self.model, options, self.providers, provider_options=self.provider_options, **self.keywords)

    def compiled(self, file: AnyPath) -> Any:
        """Return a session, as C++ has it, of a compiled model."""
        from onnxruntime.capi import _pybind_state as native
        from onnxruntime.capi.onnxruntime_inference_collection import check_and_normalize_provider_args

        from actcache.serve.runtime import register

        options = self.taken.copy()
        register(options)
        available = native.get_available_providers()
        here = [p for p in self.providers or () if (p[0] if isinstance(p, tuple) else p) in available]
        providers = None if self.providers is None or self.provider_options is not None else here
        names, settings = check_and_normalize_provider_args(providers, None, available)
        session = native.InferenceSession(options, os.fspath(file), True, False)
        session.initialize_session(names, settings, set(self.taken.disabled))
        return session


def differing(one: Any, other: Any) -> str | None:
    """Return how inputs or outputs of two sessions, as C++ has them, differ; None if they do not."""
    for what in ("inputs_meta", "outputs_meta", "overridable_initializers"):
        mine, its = ([(v.name, v.type, v.shape) for v in getattr(session, what)] for session in (one, other))
        if mine != its:
            return f"its {what.removesuffix('_meta')} are {its}, not {mine}"
    return None


def rebind(session: Any, below: Any) -> None:
    """Have a session run what C++ has as `below`. Its options stay what they are to its user."""
    for name, below_name in _FROM_BELOW.items():
        if hasattr(below, below_name):
            setattr(session, name, getattr(below, below_name))
    session._sess = below


def declare(session: Any, options_class: Any) -> None:
    """Give a session that never ran the original what onnxruntime's own way of making it would have set besides."""
    session._fallback_providers = ["CPUExecutionProvider"]
    session._providers = session._sess.get_providers()
    session._provider_options = session._sess.get_provider_options()
    if session._sess_options is None:
        session._sess_options = options_class()
