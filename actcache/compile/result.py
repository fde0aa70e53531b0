"""What a compilation gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actcache.base.per_call import PerCall
from actcache.model.trace import TraceOutcome
from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.choose_traced import Considered
from actcache.passes.refusal import Refusal
from actcache.verification.verify import Verification


@dataclass(frozen=True)
class CompiledRegion:
    """One cached region of a compiled model.

    Attributes:
        candidate: The region and what it is expected to save.
        fingerprint: Content hash of the region, 64 hex digits.
        seconds: What its nodes take in one call on the sample, those of regions inside it included.
    """

    candidate: Candidate
    fingerprint: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the region as it stands in ``--json`` output and in the manifest.

        - ``id``, ``fingerprint``, ``granularity``: its name, its content hash, and what one entry covers.
        - ``inputs``: the inputs of the model that it depends on. ``frontier``, ``live_outs``: the tensors that it reads
          and gives.
        - ``nodes``: how many it has. ``time_share``: its share of the model's time.
        - ``milliseconds``: of the call on the sample, which had ``rows`` rows (1 for granularity ``tensor``).
        - ``saving_ms``, ``read_bytes``, ``entry_bytes``: what a hit saves, and the bytes of frontier and live-outs, all
          per row. ``kept_bytes``: those of each live-out.
        - ``break_even``: the share of rows that have to be found for the region to pay for its lookups.
        """
        region = self.candidate.region
        return {
            "id": region.id,
            "granularity": region.granularity,
            "inputs": list(self.candidate.cone),
            "frontier": list(region.frontier),
            "live_outs": list(region.handed_on),
            "nodes": len(region.nodes),
            "time_share": round(self.candidate.time_share, 4),
            "milliseconds": round(self.seconds * 1e3, 4),
            "saving_ms": round(self.candidate.saving * 1e3, 4),
            "rows": self.candidate.rows,
            "read_bytes": round(self.candidate.read_bytes),
            "entry_bytes": round(self.candidate.entry_bytes),
            "kept_bytes": {name: round(size) for name, size in self.candidate.kept_bytes.items()},
            "break_even": round(min(self.candidate.break_even, 1.0), 4),
            "fingerprint": self.fingerprint,
        }


@dataclass
class CompileResult:
    """What :func:`compile_model` did.

    Attributes:
        model: The model that was compiled.
        output: The file that was written.
        files: `output` and the weights beside it.
        regions: What is cached.
        refusals: What is not, and why.
        verify: What verification found; None when it was turned off.
        budget: Bytes that the store will hold where the model runs.
        notes: What the user should know besides.
        explain: Lines that tell, for every costly node, why it is cached or what stopped it.
        considered: Every candidate that was looked at, and what came of it.
        trace: What a trace predicted and measured; None without one.
        per_call: Inputs and outputs that the compiled model has besides the original's.
    """

    model: Path
    output: Path
    files: list[Path]
    regions: list[CompiledRegion]
    refusals: list[Refusal]
    verify: Verification | None
    budget: int
    notes: list[str] = field(default_factory=list)
    explain: list[str] = field(default_factory=list)
    considered: list[Considered] = field(default_factory=list)
    trace: TraceOutcome | None = None
    per_call: PerCall = field(default_factory=PerCall)

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``--json`` prints it."""
        return {
            "model": str(self.model),
            "output": str(self.output),
            "files": [str(path) for path in self.files],
            "regions": [region.to_json() for region in self.regions],
            "refusals": [refusal.to_json() for refusal in self.refusals],
            "verify": self.verify.to_json() if self.verify else None,
            "candidates": [considered.to_json() for considered in self.considered],
            "trace": self.trace.to_json() if self.trace else None,
            "notes": self.notes,
            "per_call": self.per_call.names(),
        }
