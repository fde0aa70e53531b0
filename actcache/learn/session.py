"""The class that stands in the place of ``onnxruntime.InferenceSession``.

It is a subclass of the real one and does what that does. Under it is a session of the original model or of the compiled
one; which, is the learner's business (``learner.py``). All calls go through onnxruntime's own methods.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actcache.learn.learner import Learner

_Real: Any = object  # in the class that is used, onnxruntime's comes behind


class _Learning(_Real):  # type: ignore[misc, unused-ignore]
    _actcache_learns = True
    # None: a session that onnxruntime makes by other ways, or one that is not learning.
    _learner: Learner | None = None
    _wants_to_learn = True
    #: onnxruntime's own class.
    _actcache_real: Any

    def __init__(
        self,
        path_or_bytes: Any,
        sess_options: Any = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        learner = None
        if self._wants_to_learn:
            real = self._actcache_real
            learner = _begin(real, path_or_bytes, sess_options, providers, provider_options, kwargs)
        self._learner = learner
        super().__init__(path_or_bytes, sess_options, providers, provider_options=provider_options, **kwargs)
        if learner is not None:
            learner.attach(self)

    def __getstate__(self) -> Any:
        # A copy shares the session in C++, and does not learn.
        state = super().__getstate__() if hasattr(super(), "__getstate__") else self.__dict__
        return {name: value for name, value in state.items() if name != "_learner"} if type(state) is dict else state

    def _create_inference_session(self, providers: Any, provider_options: Any, disabled_optimizers: Any = None) -> None:
        if self._learner is None or not self._learner.create(self):
            super()._create_inference_session(providers, provider_options, disabled_optimizers)

    def run(self, output_names: Any, input_feed: Mapping[str, Any], run_options: Any = None) -> Any:
        learner = self._learner
        if learner is None or learner.idle:
            return super().run(output_names, input_feed, run_options)
        return learner.call(super().run, "run", (output_names, input_feed, run_options), input_feed)

    def run_with_ort_values(
        self, output_names: Any, input_dict_ort_values: Mapping[str, Any], run_options: Any = None
    ) -> Any:
        learner = self._learner
        if learner is None or learner.idle:
            return super().run_with_ort_values(output_names, input_dict_ort_values, run_options)
        given = (output_names, input_dict_ort_values, run_options)
        return learner.call(super().run_with_ort_values, "run_with_ort_values", given, input_dict_ort_values)

    def run_async(
        self, output_names: Any, input_feed: Any, callback: Any, user_data: Any, run_options: Any = None
    ) -> Any:
        learner = self._learner
        if learner is not None and not learner.idle and callable(callback):
            callback = learner.answering(callback, (output_names, input_feed, run_options), input_feed)
        return super().run_async(output_names, input_feed, callback, user_data, run_options)

    def run_with_iobinding(self, iobinding: Any, run_options: Any = None) -> Any:
        learner = self._learner
        if learner is None:
            return super().run_with_iobinding(iobinding, run_options)
        run: Any = functools.partial(super().run_with_iobinding, iobinding)
        owner = learner.other_owner(iobinding)
        if owner is not None:  # bound before the session went over: it stays with the session that it was made for
            run = functools.partial(owner.run_with_iobinding, iobinding._iobinding)
        if learner.idle:
            return run(run_options)
        return learner.call(run, None, (run_options,), getattr(iobinding, "_actcache_inputs", {}))


def _begin(*given: Any) -> Learner | None:
    try:
        from actcache.learn.learner import begin  # not before there is a session
    except Exception:  # no room for one more open file, say; nobody could write that down
        return None
    return begin(*given)


class _OwningValues(_Learning):
    def create_ortvalue_from_shape_and_type(self, *arguments: Any, **keywords: Any) -> Any:
        if self._learner is not None:
            self._learner.stay("it owns values in its own memory (create_ortvalue_from_shape_and_type)")
        return super().create_ortvalue_from_shape_and_type(*arguments, **keywords)


def learning_class(real: Any) -> Any:
    """Return the subclass of onnxruntime's session class that learns."""
    mine = _OwningValues if hasattr(real, "create_ortvalue_from_shape_and_type") else _Learning
    named = {"__doc__": real.__doc__, "__module__": real.__module__, "__qualname__": real.__qualname__}
    for part in mine.__mro__[:-1]:
        for name, method in vars(part).items():
            if callable(method) and hasattr(real, name):
                told = getattr(real, name)
                method.__doc__, method.__wrapped__ = told.__doc__, told  # signatures are the real ones
                method.__annotations__ = getattr(told, "__annotations__", {})
                method.__qualname__ = told.__qualname__  # errors of wrong calls say it
    return type(real.__name__, (mine, real), {**named, "_actcache_real": real})
