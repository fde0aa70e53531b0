"""Parts of a model that depend on some of its inputs: they compute the sizes that they are told themselves."""

from __future__ import annotations

from dataclasses import replace

from actcache.compile.cost_profile import model_digest
from actcache.compile.job import Job, Subject
from actcache.compile.measuring import Measured, carried_over
from actcache.passes.choice.choose import parts
from actcache.passes.rewrite.local_functions import LocalFunctions
from actcache.passes.rewrite.own_sizes import with_own_sizes


def telling_sizes_apart(job: Job, subject: Subject, measured: Measured) -> tuple[Subject, Measured]:
    """Return the model with parts of it that can be cached by themselves, as far as sizes alone stand against that
    (:mod:`actcache.passes.rewrite.own_sizes`), and what was measured of it.

    Where regions are named, or the model has local functions, it stays as it is.
    """
    if job.options.regions or subject.functions.model is not subject.functions.inlined:
        return subject, measured
    model = with_own_sizes(subject.view, parts(subject.view, measured.costs))
    if model is None:
        return subject, measured
    base = job.loaded.directory / f"sizes.{job.loaded.base.name}"
    base.write_bytes(model.SerializeToString())
    originals = replace(
        subject.originals, base=str(base), signature=subject.originals.signature or subject.originals.base
    )
    view = subject.view.of(model)
    digest = model_digest(base, job.loaded.weights.digest)
    told = replace(subject, functions=LocalFunctions(model), view=view, originals=originals, digest=digest)
    return told, carried_over(job, told, measured, measured.costs.carried_over(subject.view, view))
