"""Making the calls of an audit log again, in the process that runs models (see ``worker``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from actcache.audit.logged_decisions import RECORDERS
from actcache.base.library import call
from actcache.errors import InvalidModel, InvalidOption, UnsupportedAudit
from actcache.passes.cuts.feeds import Feed
from actcache.runs.requests import Compiled, LoggedCall, LoggedControlCall, ReplayLog
from actcache.runs.sessions import open_original, open_session, refused_call, refused_model, run_of, session_options
from actcache.runs.trace_calls import Calls
from actcache.serve import knobs, runtime
from actcache.serve.stated_model import stated_model, stating
from actcache.verification import verify

#: More than any replay records, so that all of it is in one file; and what the library can hold back meanwhile.
_ONE_FILE, _BUFFER = 1 << 50, 64 << 20


def replay_log(request: ReplayLog, _: Path) -> verify.Verification:
    """Make recorded calls as the log says, from an empty store, with an audit log of their own.

    Returns:
        How outputs compare with the original's.
    """
    proto = onnx.load_model(request.originals.base, load_external_data=False)
    calls = iter(zip(request.calls, Calls(proto, request.calls), strict=True))
    original = run_of(open_original(request.originals), request.originals)
    sessions = LoggedSessions(request.compiled, request.originals.libraries)
    with refused_by(request.audit):
        _configure(request.config)
    if request.store is not None:
        knobs.configure(disk_path=str(request.store))
    sessions.of(next(step.namespace for step in request.steps if isinstance(step, LoggedCall)))  # makes regions known
    knobs.configure(audit_max_bytes=_ONE_FILE, audit_files=0, audit_buffer_bytes=_BUFFER)
    knobs.configure(audit_path=str(request.record))
    report = verify.Verification()
    varying: frozenset[int] | None = None
    for step in request.steps:
        if isinstance(step, LoggedControlCall):
            with refused_by(request.audit):
                _change(step.what, step.arguments)
            continue
        path, feed = next(calls)
        for region, fingerprint, *numbers, stored in step.regions:
            letters = None if stored is None else stored.encode()
            call("actcache_replay", region.encode(), fingerprint.encode(), *numbers, letters)
        for region, fingerprint, row, tier, *numbers in step.fetched:
            call("actcache_replay_fetched", region.encode(), fingerprint.encode(), row, tier.encode(), *numbers)
        try:
            expected = original(feed)
            if varying is None:
                varying = verify.varying_outputs(original, feed)
            got = sessions.run(step, feed)
        except Exception as error:
            raise refused_call(error, path) from error
        if len(got) != len(expected):
            problem = "it has other outputs than the model that it was compiled from, and those that its manifest names"
            raise InvalidModel(problem, file=request.originals.source, hint="compile the original model again")
        failure = verify.differences(str(path), got, expected, request.tolerance, varying, report)
        report.failure = report.failure or failure
    knobs.configure(audit_path="")
    return report


class LoggedSessions:
    """A session of the compiled model for every namespace that is not a call's own."""

    def __init__(self, compiled: Compiled, libraries: Sequence[str]) -> None:
        self._path, self._per_call, self._libraries = compiled.path, compiled.per_call, libraries
        self._by_namespace: dict[str | None, ort.InferenceSession] = {}

    def of(self, namespace: str | None) -> ort.InferenceSession:
        """The session whose entries are of this namespace; None: not known."""
        wanted = None if self._per_call.namespace_input else namespace
        if wanted not in self._by_namespace:
            self._by_namespace[wanted] = self._open(wanted)
        return self._by_namespace[wanted]

    def _open(self, namespace: str | None) -> ort.InferenceSession:
        options = session_options(self._libraries)
        if namespace is not None:
            options.add_session_config_entry("actcache.namespace", namespace)
        runtime.register(options)
        # Most logs are of actcache.InferenceSession, which states its model, so that equal regions share at once.
        with stating(stated_model(self._path, options, {})):
            try:
                return open_session(self._path, options)
            except Exception as error:  # whatever the runtime raises
                raise refused_model(error, self._path) from error

    def run(self, step: LoggedCall, feed: Feed) -> list[Any]:
        """Make a call, and return the outputs that the original has."""
        session, names = self.of(step.namespace), self._per_call
        added = {}
        if names.namespace_input is not None:
            added[names.namespace_input] = np.array(step.namespace or "")
        if names.control_input is not None:
            added[names.control_input] = np.array(step.control)
        outputs = [value.name for value in session.get_outputs() if value.name != names.account_output]
        return list(session.run(outputs, {**feed, **added}))


def _applies(knob: str) -> bool:
    """Whether a replay has the knob as the log says: it writes a log of its own, and its tier is one of its own."""
    return knob not in RECORDERS and not knob.startswith(("disk_", "remote_"))


def _configure(config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        if _applies(name) and name != "memory_bytes":  # which is no knob
            setting: Any = math.inf if value is None else value
            knobs.configure(**{name: setting})


def _change(what: str, arguments: Mapping[str, Any]) -> None:
    if what == "configure":
        for name, text in arguments.items():
            if _applies(name):
                call("actcache_configure", name.encode(), None if text is None else text.encode())
        return
    operation = {"invalidate": runtime.invalidate, "pin": runtime.pin, "unpin": runtime.unpin}[what]
    age = arguments.get("min_age_seconds") or None
    region, fingerprint = arguments.get("region"), arguments.get("fingerprint")
    with suppress(InvalidOption):  # a region of another model, of which nothing is here
        operation(arguments.get("namespace"), region=region, fingerprint=fingerprint, older_than=age)


@contextmanager
def refused_by(audit: str) -> Iterator[None]:
    """What the library refuses here is what the log says."""
    try:
        yield
    except InvalidOption as error:
        raise UnsupportedAudit(f"its settings cannot be used here: {error.message}", file=audit) from error
