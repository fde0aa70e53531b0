"""What the analysis says of every tensor of every sample, written down in rows_told.txt: a change of any of it shows.

Samples and truths prove that nothing wrong is claimed. This proves that nothing is lost unseen: a size that is not
known any more, rows that are refused for another reason. After a change that is meant::

    PYTHONPATH=.:tests/unit python -m rows_told

writes the file anew; its difference belongs into the review.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from rows_catalogue import SAMPLES, TRAPS
from rows_followed_samples import FOLLOWED
from rows_support import Sample
from rows_truth import known
from rows_variants import variants

from actcache.passes.rows.state import Mixed, State, Value

FILE = Path(__file__).with_suffix(".txt")
#: Numbers of symbols say only how many were made before.
_NUMBERED = re.compile(r"#\d+")


def named() -> Iterator[tuple[str, Sample]]:
    """Every sample and every trap, with a name of its own."""
    seen: Counter[str] = Counter()
    for tried in [*SAMPLES, *FOLLOWED]:
        seen[str(tried)] += 1
        yield f"{tried} ({seen[str(tried)]})" if seen[str(tried)] > 1 else str(tried), tried
    yield from ((f"trap {name}", trap) for name, trap in TRAPS.items())


def told(tried: Sample) -> str:
    """What is known of all tensors that nodes of the sample make; of one that runs, also a digest of its variants."""
    if any(tried is one for one in FOLLOWED):
        return _all_of(tried)
    others = hashlib.sha256()
    for variant in variants(tried):
        others.update(_all_of(variant).encode())
    return f"{_all_of(tried)} | {others.hexdigest()[:8]}"


def _all_of(tried: Sample) -> str:
    return "; ".join(f"{name} {_value(value)}" for name, value in known(tried).items())


def _value(value: Value) -> str:
    parts = [_state(value.state)]
    if value.shape is not None:
        parts.append(f"[{', '.join(map(repr, value.shape))}]")
    if value.content is not None:
        parts.append(f"= {', '.join(map(repr, value.content.reshape(-1)))}")
    if value.constant is not None:
        parts.append("constant")
    if value.below is not None:
        parts.append(f"< {value.below}")
    return _NUMBERED.sub("", " ".join(parts))


def _state(state: State) -> str:
    if isinstance(state, Mixed):
        return f"refused {state.refusal.rule}"
    return " ".join([type(state).__name__, *(repr(getattr(state, field.name)) for field in fields(state))])


def main() -> None:
    """Write the file."""
    FILE.write_text("".join(f"{name}: {told(tried)}\n" for name, tried in named()))


if __name__ == "__main__":
    main()
