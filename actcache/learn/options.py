"""The options of a session: what they are, whether learning can deal with them, and a copy for the compiled model.

onnxruntime lets nobody read everything that was set: config entries only one by one, and initializers, overrides,
libraries and providers not at all. So those calls are noted as they are made (:func:`observe`), and made again on the
copy. Options that were made before anybody noted are not dealt with.
"""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

#: Calls that are made again on a copy.
_REPEATED = ("add_session_config_entry", "register_custom_ops_library")
#: Calls that change the model, or who computes: such a session stays as it is.
_FOREIGN = {
    "add_initializer": "its options replace weights of the model (add_initializer)",
    "add_external_initializers": "its options replace weights of the model (add_external_initializers)",
    "add_external_initializers_from_files_in_memory": "its options hold weights of the model in memory",
    "add_free_dimension_override_by_name": "its options fix sizes of the model (add_free_dimension_override_by_name)",
    "add_free_dimension_override_by_denotation": "its options fix sizes of the model"
    " (add_free_dimension_override_by_denotation)",
    "add_provider": "its options add an execution provider",
    "add_provider_for_devices": "its options add an execution provider",
    "set_provider_selection_policy": "its options leave the choice of execution providers to a policy",
    "set_provider_selection_policy_delegate": "its options leave the choice of execution providers to a policy",
    "set_ep_context_data_read_func": "its options read data of an execution provider",
    "set_load_cancellation_flag": "its options can cancel the loading of the model",
}
#: Attributes that may change what is computed. The others (threads, memory) are copied, but are no part of a place.
_NUMERIC = ("graph_optimization_level", "execution_mode", "use_deterministic_compute")
_COPIED = (
    *_NUMERIC,
    "enable_cpu_mem_arena",
    "enable_mem_pattern",
    "enable_mem_reuse",
    "execution_order",
    "inter_op_num_threads",
    "intra_op_num_threads",
    "log_severity_level",
    "log_verbosity_level",
    "logid",
    "use_per_session_threads",
)
_CPU = "CPUExecutionProvider"
#: Only for nodes of a domain of its own; the CPU provider computes everything else.
_HARMLESS = frozenset({"AzureExecutionProvider"})


#: Of options, the calls that were made on them.
_noted: weakref.WeakKeyDictionary[Any, list[tuple[str, tuple[Any, ...]]]] = weakref.WeakKeyDictionary()


def observe(options_class: Any) -> None:
    """Have the calls noted that are made on options from now on. Again is harmless."""
    if getattr(options_class, "_actcache_notes", False):
        return
    options_class._actcache_notes = True
    real_init = options_class.__init__

    @functools.wraps(real_init)
    def init(self: Any, *arguments: Any, **keywords: Any) -> None:
        real_init(self, *arguments, **keywords)
        _noted[self] = []

    options_class.__init__ = init
    for name in (*_REPEATED, *_FOREIGN):
        if hasattr(options_class, name):
            setattr(options_class, name, _noting(name, getattr(options_class, name)))


def _noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def method(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = real(self, *arguments, **keywords)
        noted = _noted.get(self)
        if noted is not None:
            noted.append((name, _lasting(name, (*arguments, *keywords.values())) if name in _REPEATED else ()))
        return result

    return method


def _lasting(name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments that name the same library wherever the program goes; without a folder it is searched for."""
    if name == "register_custom_ops_library" and isinstance(arguments[0], str) and os.sep in arguments[0]:
        return (os.path.abspath(arguments[0]),)
    return arguments


def refusal(
    options: Any,
    providers: Sequence[Any] | None,
    keywords: Mapping[str, Any],
    available: Sequence[str],
    known: Sequence[str],
) -> str | None:
    """Return why a session with these options stays as it is; None if it may learn.

    Args:
        options: Its ``SessionOptions``, or None.
        providers: As it was given them.
        keywords: What else it was given.
        available: The providers of this onnxruntime.
        known: Those that it has a name for.
    """
    first = next((name for name in _names(providers) if name in available and name not in _HARMLESS), _CPU)
    if first != _CPU:
        return f"its first execution provider is {first}; only {_CPU} is supported"
    strange = next((name for name in _names(providers) if name not in (*known, *available)), None)
    if strange is not None:
        return f"onnxruntime has no execution provider {strange}"
    if keywords.get("read_config_from_model", os.environ.get("ORT_LOAD_CONFIG_FROM_MODEL")) in (1, "1", True):
        return "its options are read from the model"
    if options is None:
        return None
    noted = _noted.get(options)
    if noted is None:
        return "its options were made before actcache was loaded: import actcache.auto first"
    foreign = next((_FOREIGN[name] for name, _ in noted if name in _FOREIGN), None)
    if foreign:
        return foreign
    if options.enable_profiling:
        return "it profiles"
    if options.optimized_model_filepath:
        return "it saves its optimised model"
    return None


class Taken(NamedTuple):
    """What a session's options said when it was made.

    Attributes:
        options_class: ``SessionOptions``.
        attributes: Values of those that are copied.
        calls: Calls that are made again on a copy.
        disabled: Names of optimisers that were switched off.
    """

    options_class: Any
    attributes: Mapping[str, Any]
    calls: Sequence[tuple[str, tuple[Any, ...]]]
    disabled: Sequence[str] = ()

    def described(self) -> dict[str, Any]:
        """Return what may change results, as JSON; options that nobody set are left out."""
        told: dict[str, Any] = {}
        for name, arguments in self.calls:
            told.setdefault(name, []).append([str(argument) for argument in arguments])
        default = self.options_class()
        for name in _NUMERIC:
            if name in self.attributes and self.attributes[name] != getattr(default, name):
                told[name] = str(self.attributes[name])
        return told | ({"disabled_optimizers": list(self.disabled)} if self.disabled else {})

    def libraries(self) -> list[str]:
        """Return the custom-operator libraries that were registered."""
        return [str(arguments[0]) for name, arguments in self.calls if name == "register_custom_ops_library"]

    def copy(self) -> Any:
        """Return options that say the same."""
        result = self.options_class()
        for name, value in self.attributes.items():
            setattr(result, name, value)
        for name, arguments in self.calls:
            getattr(result, name)(*arguments)
        return result


def take(options: Any, options_class: Any, keywords: Mapping[str, Any]) -> Taken:
    """Write down what options say now; None stands for those that nobody set."""
    noted = _noted.get(options) if options is not None else None
    return Taken(
        options_class,
        {name: getattr(options, name) for name in _COPIED if options is not None and hasattr(options, name)},
        [call for call in noted if call[0] in _REPEATED] if noted is not None else [],
        sorted(str(name) for name in keywords.get("disabled_optimizers") or ()),
    )


def shown(options: Any, options_class: Any) -> Any:
    """Return what a session shows as its options: a copy of what it was given, or what nobody has set."""
    result = options_class()
    if options is not None:
        for name, kind in vars(options_class).items():
            if isinstance(kind, property):
                setattr(result, name, getattr(options, name))
        for name, arguments in _noted.get(options, ()):
            if name == "add_session_config_entry":
                result.add_session_config_entry(*arguments)
    return result


def _names(providers: Sequence[Any] | None) -> list[str]:
    return [provider[0] if isinstance(provider, tuple) else str(provider) for provider in providers or ()]
