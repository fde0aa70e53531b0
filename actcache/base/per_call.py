"""What a call of a compiled model may say about its cache, and what it is told: names of graph inputs and outputs.

All off by default. With ``namespace_input`` every call has to name the namespace that it looks up and stores in; with
``control_input`` a call may ask for its results to be computed afresh; ``account_output`` tells what was reused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from actcache.errors import InvalidOption

#: What the command line calls them unless it is given other names.
NAMESPACE, CONTROL, ACCOUNT = "actcache.namespace", "actcache.control", "actcache.account"
#: What a control input takes; the first is its default.
CONTROL_WORDS = ("use", "bypass", "refresh")
#: Key of the names in the manifest of a compiled model.
_MANIFEST_FIELD = "per_call"


@dataclass(frozen=True)
class PerCall:
    """Names in the compiled model; None: it has no such input or output.

    Attributes:
        namespace_input: A string scalar, to be fed in every call: the call's own namespace. It is used together with
            the session's, so that calls share entries only where both are equal.
        control_input: A string scalar that may be left out: ``use`` (default), ``bypass`` (neither looked up nor
            stored) or ``refresh`` (computed afresh, and stored in place of what is there).
        account_output: int64 ``[regions, 3]``: hits, misses and bypassed rows of every region in this call, in the
            order of the manifest. A region inside another is not asked (zeros) where the outer one hits everything.
    """

    namespace_input: str | None = None
    control_input: str | None = None
    account_output: str | None = None

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            InvalidOption: A name is empty, given twice, or of the kind that actcache gives to its own tensors.
        """
        given = self.names()
        for option, name in given.items():
            if not name or "@" in name:
                raise InvalidOption(
                    f"{option} '{name}' cannot be used as a name", hint="give one that is not empty and has no '@'"
                )
        if len(set(given.values())) < len(given):
            raise InvalidOption(f"{' and '.join(given)} have the same name", hint="give different names")

    def names(self) -> dict[str, str]:
        """Return the inputs and outputs that there are: what they are for, and their names."""
        return {option: name for option, name in asdict(self).items() if name is not None}

    def to_manifest(self) -> dict[str, Any]:
        """Return what the manifest says of them: nothing if there are none."""
        return {_MANIFEST_FIELD: self.names()} if self.names() else {}

    @classmethod
    def from_manifest(cls, manifest: str) -> PerCall:
        """Read the names from the text of a manifest; there are none in what is no manifest."""
        try:
            content = json.loads(manifest)
            found = content.get(_MANIFEST_FIELD, {}) if isinstance(content, Mapping) else {}
            return cls(**found)
        except (ValueError, TypeError, InvalidOption):
            return cls()
