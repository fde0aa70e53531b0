"""Making the calls of an audit log again, in the process that runs models (see ``worker``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import onnxruntime as ort

from actcache.audit.logged_decisions import RECORDERS
from actcache.base.library import call
from actcache.base.per_call import PerCall
from actcache.errors import InvalidOption, InvalidSamples, UnsupportedAudit
from actcache.serve import knobs, runtime
from actcache.verification import verify

#: Opens a session of the compiled model; of a namespace, or of the configured one.
Open = Callable[[str | None], ort.InferenceSession]
#: More than any replay records, so that all of it is in one file; and what the library can hold back meanwhile.
_ONE_FILE, _BUFFER = 1 << 50, 64 << 20


def replay(
    request: Mapping[str, Any], feeds: Iterable[verify.Feed], opened: Open, original: verify.Run
) -> dict[str, Any]:
    """Make recorded calls as the log says, from an empty store, with an audit log of their own.

    Args:
        request: ``config``; ``steps``: for a call its ``regions`` (the arguments of ``actcache_replay``), ``namespace``
            and ``control`` word, for a change ``what`` and ``arguments``; ``record``: the file of the new log;
            ``per_call``; ``calls``: the names of the feeds; ``tolerance``; ``audit``: what messages call the log.
        feeds: The calls.
        opened: Opens a session of the compiled model.
        original: The model that it was made from.

    Returns:
        How outputs compare with the original's: a :class:`~actcache.verification.verify.VerifyReport` as JSON.
    """
    sessions = _Sessions(opened, PerCall(**request["per_call"]))
    with _refused_by(request["audit"]):
        _configure(request["config"])
    sessions.of(next(step["namespace"] for step in request["steps"] if "regions" in step))  # makes regions known
    knobs.configure(audit_max_bytes=_ONE_FILE, audit_files=0, audit_buffer_bytes=_BUFFER)
    knobs.configure(audit_path=request["record"])
    report = verify.VerifyReport()
    varying: frozenset[int] | None = None
    calls = iter(zip(request["calls"], feeds, strict=True))
    for step in request["steps"]:
        if "what" in step:
            with _refused_by(request["audit"]):
                _change(step["what"], step["arguments"])
            continue
        name, feed = next(calls)
        for region, fingerprint, *numbers in step["regions"]:
            call("actcache_replay", region.encode(), fingerprint.encode(), *numbers)
        try:
            expected = original(feed)
            if varying is None:
                varying = verify.varying_outputs(original, feed)
            got = sessions.run(step, feed)
        except Exception as error:
            raise InvalidSamples(f"the model refuses this call ({error})", file=name) from error
        report.failure = report.failure or verify.differences(
            name, got, expected, request["tolerance"], varying, report
        )
    knobs.configure(audit_path="")
    return report.to_json()


class _Sessions:
    """A session of the compiled model for every namespace that is not a call's own."""

    def __init__(self, opened: Open, per_call: PerCall) -> None:
        self._opened, self._per_call = opened, per_call
        self._by_namespace: dict[str | None, ort.InferenceSession] = {}

    def of(self, namespace: str | None) -> ort.InferenceSession:
        wanted = None if self._per_call.namespace_input else namespace
        if wanted not in self._by_namespace:
            self._by_namespace[wanted] = self._opened(wanted)
        return self._by_namespace[wanted]

    def run(self, step: Mapping[str, Any], feed: verify.Feed) -> list[Any]:
        """Make a call, and return the outputs that the original has."""
        session, names = self.of(step["namespace"]), self._per_call
        added = {}
        if names.namespace_input is not None:
            added[names.namespace_input] = np.array(step["namespace"] or "")
        if names.control_input is not None:
            added[names.control_input] = np.array(step["control"])
        outputs = [value.name for value in session.get_outputs() if value.name != names.account_output]
        return list(session.run(outputs, {**feed, **added}))


def _configure(config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        if name not in RECORDERS and name != "memory_bytes":  # which is no knob
            setting: Any = math.inf if value is None else value
            knobs.configure(**{name: setting})


def _change(what: str, arguments: Mapping[str, Any]) -> None:
    if what == "configure":
        for name, text in arguments.items():
            if name not in RECORDERS:
                call("actcache_configure", name.encode(), None if text is None else text.encode())
        return
    operation = {"invalidate": runtime.invalidate, "pin": runtime.pin, "unpin": runtime.unpin}[what]
    age = arguments.get("min_age_seconds") or None
    region, fingerprint = arguments.get("region"), arguments.get("fingerprint")
    with suppress(InvalidOption):  # a region of another model, of which nothing is here
        operation(arguments.get("namespace"), region=region, fingerprint=fingerprint, older_than=age)


@contextmanager
def _refused_by(audit: str) -> Iterator[None]:
    """What the library refuses here is what the log says."""
    try:
        yield
    except InvalidOption as error:
        raise UnsupportedAudit(f"its settings cannot be used here: {error.message}", file=audit) from error
