"""What a host program calls while it serves a compiled model: registration, statistics, what to forget.

All of it talks to the one store of this process (its knobs are in ``knobs.py``). A host in another language has
the same through the C functions in ``custom_ops/include/actcache.h``. A child of ``fork()`` starts with an empty
store; onnxruntime's sessions must be created after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import onnxruntime

from actcache.base.library import call, library, number_argument, read_json, text_argument
from actcache.errors import LibraryError
from actcache.serve.stated_model import stated_model, stating

#: Session config entry that remembers the registration; session options take no attributes.
_REGISTERED = "actcache.registered_library"


def library_path() -> str:
    """Return the path of the native library, for ``register_custom_ops_library`` in any language.

    The environment variable ``ACTCACHE_LIBRARY`` names another build.

    Raises:
        LibraryError: The library is missing, too old, or built for another platform.
    """
    return library().path


def register(session_options: onnxruntime.SessionOptions) -> None:
    """Register actcache's operators with the options of a session that is about to be created.

    Config entries ``actcache.*`` are read here, so add them to `session_options` before. Registering again is
    harmless: the options of one session may serve the next.

    Raises:
        LibraryError: The library does not fit this platform, or this onnxruntime refuses it.
    """
    path = library_path()
    if _registered(session_options) == path:
        return  # onnxruntime refuses sessions whose options hold a domain twice
    try:
        session_options.register_custom_ops_library(path)
        session_options.add_session_config_entry(_REGISTERED, path)
    except Exception as error:
        raise LibraryError(
            f"onnxruntime {onnxruntime.__version__} refuses the native library: {error}",
            file=path,
            hint="actcache needs onnxruntime 1.18 or later and valid actcache.* config entries",
        ) from error


class InferenceSession(onnxruntime.InferenceSession):  # type: ignore[misc, unused-ignore]
    """``onnxruntime.InferenceSession`` that knows actcache's operators.

    Takes what the original takes. The operators are registered with `sess_options` (or with fresh options).

    Raises:
        LibraryError: As :func:`register`.
    """

    def __init__(
        self,
        path_or_bytes: str | bytes | PathLike[str],
        sess_options: onnxruntime.SessionOptions | None = None,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        **kwargs: Any,
    ) -> None:
        options = onnxruntime.SessionOptions() if sess_options is None else sess_options
        register(options)
        for model in (stated_model(path_or_bytes, options, {"providers": providers, **kwargs}), ""):
            with stating(model):
                super().__init__(path_or_bytes, options, providers=providers, **kwargs)
            # A file that was replaced meanwhile may be read again, and nothing is said of it then.
            if model == stated_model(path_or_bytes, options, {"providers": providers, **kwargs}):
                break

    def run(self, *arguments: Any, **options: Any) -> Any:
        """As ``onnxruntime.InferenceSession.run``; if it fails, other threads compute what it was to compute."""
        return _abandoning(super().run, *arguments, **options)

    def run_with_iobinding(self, *arguments: Any, **options: Any) -> Any:
        """As ``onnxruntime.InferenceSession.run_with_iobinding``; if it fails, as :meth:`run`."""
        return _abandoning(super().run_with_iobinding, *arguments, **options)

    def run_with_ort_values(self, *arguments: Any, **options: Any) -> Any:
        """As ``onnxruntime.InferenceSession.run_with_ort_values``; if it fails, as :meth:`run`."""
        return _abandoning(super().run_with_ort_values, *arguments, **options)


def stats() -> dict[str, Any]:
    """Return what the caches of this process have done so far.

    Returns:
        ``{"forked": bool, "regions": {id: {...}}, "store": {...}, "namespaces": {name: {...}}, "tiers": {name: {...}},
        "audit": {...}}``.

        Per region, in rows (a whole call counts as one row where it has one entry):

        - ``lookups`` are ``hits`` + ``misses`` + ``bypassed``.
        - Part of the hits: ``duplicates`` equal a row of the same batch; ``joined`` waited for another call;
          ``disk_hits`` and ``remote_hits`` came from a tier.
        - Part of the misses: ``expired`` had an entry that was too old; ``verified`` were computed to be compared with
          their entry (``compared``, as another session had made it), and ``mismatches`` differed.
        - ``stored``; ``not_admitted`` were computed and not stored (``first_sights``, as nothing had repeated so far);
          ``evicted``.
        - ``kept_apart``: sessions that use no entries of others since a row differed.
        - ``bytes`` and ``pinned_bytes`` are held now.
        - ``saved_seconds``; the time of hashing, copying and computing; ``overhead_seconds`` in both operators.
        - ``state`` is ``"active"``, ``"bypassed"`` or, after a mismatch, ``"disabled"`` for good. A region is bypassed
          if lookups cost more than they save, or would (``bypass_reason``), until a trial succeeds
          (``bypass_switches``, ``probes``). Some of its calls are looked up and stored for other processes (``fed``,
          ``docs/tiers.md``).

        For the store: ``bytes``, ``entries``, ``budget_bytes``, ``pinned_bytes``, ... now, and how many entries were
        inserted, evicted, expired, invalidated, ... so far. For each namespace that holds something: ``bytes`` and
        ``entries``. For each tier (``disk``, ``remote``): what was found there, stored, refused, damaged, ..., and what
        the whole store holds now. For the audit log: events ``written`` and ``dropped``, and ``bytes`` written.

        ``forked`` tells a child of ``os.fork()``, which counts from 0.
        ``custom_ops/include/actcache.h`` has the complete list.

    Raises:
        LibraryError: As :func:`library_path`.
    """
    return read_json("actcache_stats_json")


def flush(seconds: float = 60.0) -> bool:
    """Write what waits for ``disk_path`` and ``remote_url``. A process that ends normally does that by itself.

    Args:
        seconds: How long to wait for it.

    Returns:
        Whether all of it is written.

    Raises:
        InvalidOption: `seconds` is no number.
        LibraryError: As :func:`library_path`.
    """
    return bool(library().handle.actcache_flush(number_argument("seconds", seconds)))


def invalidate(
    namespace: str | None = None,
    *,
    region: str | None = None,
    fingerprint: str | None = None,
    older_than: float | None = None,
) -> int:
    """Forget what is cached: everything, or what meets every selector that is given.

    Weights and operators are part of every key, so a changed model never needs this. Data that a model reads beside
    its inputs would. What is being computed meanwhile is not stored.

    Args:
        namespace: Only of this namespace; ``""`` is the one of sessions that name none.
        region: Only of the regions of this id, as ``stats()["regions"]`` lists them (several models may have one).
        fingerprint: Only of the regions of this content hash: ``stats()["regions"][id]["fingerprint"]``.
        older_than: Only what was stored at least this many seconds ago.

    Returns:
        How many entries were removed. 0 for a namespace that no call has used: there is nothing of it to forget.

    Raises:
        InvalidOption: No session of this process ever had a region of this id or fingerprint (the message lists those
            that there are), or a selector makes no sense. It is a ``ValueError``.
        LibraryError: As :func:`library_path`.
    """
    return _for_selected("actcache_invalidate", namespace, region, fingerprint, older_than)


def pin(
    namespace: str | None = None,
    *,
    region: str | None = None,
    fingerprint: str | None = None,
    older_than: float | None = None,
) -> int:
    """Keep what is cached now from being evicted for room or for a quota.

    It still expires and can be invalidated; a budget lower than what is pinned evicts it too.

    Args:
        namespace: As :func:`invalidate`.
        region: As :func:`invalidate`.
        fingerprint: As :func:`invalidate`.
        older_than: As :func:`invalidate`.

    Returns:
        How many entries were pinned that were not.

    Raises:
        InvalidOption: As :func:`invalidate`.
        LibraryError: As :func:`library_path`.
    """
    return _for_selected("actcache_pin", namespace, region, fingerprint, older_than)


def unpin(
    namespace: str | None = None,
    *,
    region: str | None = None,
    fingerprint: str | None = None,
    older_than: float | None = None,
) -> int:
    """Take pins back, as :func:`pin` sets them.

    Returns:
        How many entries were pinned and are no more.

    Raises:
        InvalidOption: As :func:`invalidate`.
        LibraryError: As :func:`library_path`.
    """
    return _for_selected("actcache_unpin", namespace, region, fingerprint, older_than)


def _for_selected(
    function: str, namespace: str | None, region: str | None, fingerprint: str | None, older_than: float | None
) -> int:
    selectors = {"namespace": namespace, "region": region, "fingerprint": fingerprint}
    texts = [None if v is None else text_argument(f"'{name}'", v).encode() for name, v in selectors.items()]
    age = 0.0 if older_than is None else number_argument("'older_than'", older_than)
    return call(function, *texts, age)


def _abandoning(run: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call `run`. If it raises, free those who wait for what this thread was computing, and let go of what it found."""
    begin = time.monotonic_ns()
    try:
        return run(*arguments, **options)
    except BaseException:
        library().handle.actcache_abandon_run(begin)
        raise


def _registered(session_options: onnxruntime.SessionOptions) -> str | None:
    """Return the library that :func:`register` has put into `session_options`, if it has."""
    try:
        return str(session_options.get_session_config_entry(_REGISTERED))
    except RuntimeError:  # no such entry
        return None
