"""One attempt to compile a model by its recorded calls, and what is put on record of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actcache.base.per_call import PerCall
from actcache.base.tolerance import accepted_by_spread
from actcache.errors import ActcacheError, InternalError, NothingToCache
from actcache.learn import cache, evidence, identity, job, set_aside
from actcache.learn.evidence import Evidence
from actcache.learn.place import find_ready
from actcache.learn.repetition import may_repeat
from actcache.model.feed_file import read_entries
from actcache.serve.knobs import configuration

if TYPE_CHECKING:  # the compiler takes a second of processor time to load: not where nothing repeats
    from actcache.compile.result import CompileResult

#: A new choice takes the place of a compiled model if it takes so much less time on the same calls.
_CLEARLY = 0.9
_MODEL = "model.cached.onnx"


def attempt(root: Path, key: str, model: Path, request: Mapping[str, Any], record: dict[str, Any]) -> None:
    """Compile a model, and note in `record` what came of it."""
    target = cache.model_folder(root, key)
    calls = sorted((target / "calls").glob("*.npz"))
    record.update(attempts=record.get("attempts", 0) + 1, attempted_with=len(calls), attempted=time.time(), fresh=0)
    folder = target / _next_name(target)
    started = time.monotonic()
    try:
        problem = job.check_room(target, model.stat().st_size)
        if problem is not None:
            raise NothingToCache(message=problem)
        if not may_repeat(map(read_entries, calls)):
            raise NothingToCache(message=f"nothing repeats in {len(calls)} recorded calls")
        from actcache.learn.seeded import draws_by_a_seed

        seeded = draws_by_a_seed(model)
        if seeded is not None:
            raise NothingToCache(
                message=f"{seeded} draws random numbers by a seed, and a compiled model would draw others"
            )
        chosen = evidence.choose(calls)
        record["one_in"] = chosen.one_in
        result, ratio = _make(root, key, model, request, chosen, cache.make_folder(folder), record)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        _refused(record, error)
    else:
        _compiled(record, folder, result, ratio)
    record["attempt_seconds"] = round(time.monotonic() - started, 2)


def _make(
    root: Path,
    key: str,
    model: Path,
    request: Mapping[str, Any],
    chosen: Evidence,
    folder: Path,
    record: dict[str, Any],
) -> tuple[CompileResult, float]:
    """Compile a model into a folder, and note in `record` what processor time that took, whatever came of it.

    Returns:
        The compiled model, and its time on the calls relative to the original's.

    Raises:
        ActcacheError: It cannot be compiled, or does not pay.
    """
    from actcache.compile.driver import compile_model

    before = _processor_seconds()
    try:
        result = compile_model(
            model,
            folder / _MODEL,
            trace=chosen.calls,
            budget_bytes=_budget(chosen),
            custom_op_libraries=request.get("libraries", []),
        )
        ratio = result.trace.measured if result.trace is not None else 1.0
        aside = set_aside.noted(folder.parent, record.get("folder"))
        if ratio > (job.PAYS if aside is None else set_aside.stricter(job.PAYS, aside)):
            raise NothingToCache(message=f"it would take {ratio:.3f} of the original's time on the recorded calls")
        if aside is None:
            _check_against_earlier(root, key, model, request, chosen, result, record)
    finally:
        record["processor_seconds"] = round(_processor_seconds() - before, 2)
    return result, ratio


def _budget(chosen: Evidence) -> int:
    """Return what a store may hold of the chosen calls, so that they are found as often as all calls are."""
    return max(1, int(configuration()["budget_bytes"]) // chosen.one_in)


def _processor_seconds() -> float:
    """Return what this process has taken so far, and those that it has waited for."""
    return sum(os.times()[:4])


def _check_against_earlier(
    root: Path,
    key: str,
    model: Path,
    request: Mapping[str, Any],
    chosen: Evidence,
    result: CompileResult,
    record: Mapping[str, Any],
) -> None:
    """Play the newer calls with the compiled model that there is, and with the new one.

    Raises:
        NothingToCache: The new one chooses the same regions, or does not take clearly less time.
    """
    ready = find_ready(root, key)
    if ready is None:
        return
    reuse = result.trace.reuse if result.trace is not None else {}
    regions = choice([region.to_json() for region in result.regions], reuse)
    if regions == choice(record.get("regions", ()), record.get("reuse", {})):
        raise NothingToCache(message="the newer calls ask for the same regions")

    from actcache.runs.client import ask
    from actcache.runs.requests import Compiled, Originals, PlayTrace

    def ratio_of(compiled: Path) -> float | None:
        name = str(model)
        played = ask(
            PlayTrace(
                Originals(name, name, name, request.get("libraries", [])),
                Compiled(compiled, PerCall()),
                chosen.calls[len(chosen.calls) // 2 :],
                ready.tolerance,
                _budget(chosen),
            ),
            result.output.parent,
        )
        return None if played.failure else played.compiled / max(played.original, 1e-12)

    earlier = ratio_of(Path(ready.file))
    new = ratio_of(result.output) if earlier is not None else None
    if earlier is not None and (new is None or new > _CLEARLY * earlier):
        told = "fail" if new is None else f"take {new:.3f} of the original's time"
        raise NothingToCache(message=f"on the newer calls it would {told}; what there is: {earlier:.3f}")


def choice(regions: Iterable[Mapping[str, Any]], reuse: Mapping[str, float]) -> set[tuple[Any, ...]]:
    """Return what tells one choice of regions from another.

    Equal layers at two places have one fingerprint. A region that reused nothing is there because of a measurement that
    something disturbed: it does not count.

    Args:
        regions: As in a manifest.
        reuse: The share that each reused on the recorded calls, by its id.
    """
    useful = [region for region in regions if reuse.get(region.get("id", ""), 1.0) > 0]
    return {(r["fingerprint"], *r["frontier"], None, *r["live_outs"]) for r in useful}


def _refused(record: dict[str, Any], error: Exception) -> None:
    """Note why there is no compiled model; one that there is stays."""
    if record["state"] == "compiled":
        record["again"] = str(error)
        return
    ours = error if isinstance(error, ActcacheError) else InternalError(f"{type(error).__name__}: {error}")
    record["state"] = "refused"
    record["reason"] = ours.message
    if isinstance(error, NothingToCache):
        record["refusals"] = [[r.rule, r.reason, r.node] for r in error.refusals][:50]
        record["reason"] = next(_reasons(error), ours.message)


def _reasons(error: NothingToCache) -> Iterator[str]:
    for rule in ("not-worth", "verification"):
        yield from (refusal.reason for refusal in error.refusals if refusal.rule == rule)


def _compiled(record: dict[str, Any], folder: Path, result: CompileResult, ratio: float) -> None:
    """Note the compiled model in place of an earlier one."""
    before = record.get("folder")
    files = {}
    for file in result.files:
        with suppress(OSError):
            file.chmod(0o600)
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
        files[file.name] = {"signature": identity.signature(file), "sha256": identity.file_digest(file)}
    record.update(
        state="compiled",
        reason=None,
        folder=folder.name,
        model=result.output.name,
        files=files,
        tolerance=accepted_by_spread(result.verify.outputs if result.verify else (), None),
        bit_exact=result.verify.bit_exact if result.verify else None,
        fingerprints=[region.fingerprint for region in result.regions],
        regions=[region.to_json() for region in result.regions],
        ratio=ratio,
        reuse=result.trace.reuse if result.trace else {},
        compiled=time.time(),
    )
    if before is not None and before != folder.name:
        shutil.rmtree(folder.parent / before, ignore_errors=True)


def _next_name(target: Path) -> str:
    numbers = [int(path.name.rpartition("-")[2]) for path in target.glob("compiled-*") if path.name[9:].isdigit()]
    return f"compiled-{max(numbers, default=0) + 1}"
