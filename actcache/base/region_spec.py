r"""How a user names a region: by the tensors it reads and the tensors the rest of the model reads from it.

On the command line that is ``NAME=FRONTIER,..:LIVEOUT,..``. Exporters put colons into tensor names
(``input:0``, ``onnx::Shape_422``), so one colon has to be told from the others:

1. A colon next to another colon belongs to a name.
2. If several are left, one before digits that end a name (``input:0``) belongs to that name.
3. If not exactly one is left, the text is ambiguous and refused.

``\:`` and ``\,`` always belong to a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from actcache.errors import InvalidRegion

_FORM = "--region takes NAME=FRONTIER,..:LIVEOUT,.."
_NUMBERED_NAME = re.compile(r":\d+(?=[,:]|$)")


@dataclass(frozen=True)
class RegionSpec:
    """A region as the user names it.

    Attributes:
        name: Becomes the region's id in the manifest and in the statistics.
        frontier: Names of the tensors that the region reads, constants left out.
        live_outs: Names of the tensors that the rest of the model (or the caller) reads from it.

    Raises:
        InvalidRegion: A name is empty or stands twice.
    """

    name: str
    frontier: tuple[str, ...]
    live_outs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidRegion("a region needs a name", hint=_FORM)
        for what, names in (("frontier", self.frontier), ("live-outs", self.live_outs)):
            if not names or not all(names):
                raise InvalidRegion(
                    f"region '{self.name}' needs tensor names for its {what}, none of them empty", hint=_FORM
                )
            if len(set(names)) != len(names):
                raise InvalidRegion(f"region '{self.name}': a tensor is named twice in its {what}", hint=_FORM)

    @classmethod
    def parse(cls, text: str) -> RegionSpec:
        """Read ``NAME=FRONTIER,..:LIVEOUT,..``.

        Raises:
            InvalidRegion: `text` has another form, or its colons can be read in several ways.
        """
        name, equals, tensors = text.partition("=")
        if not equals:
            raise InvalidRegion(f"cannot read region '{text}': it has no '='", hint=_FORM)
        colon = _separator(text, tensors)
        return cls(name.strip(), _names(tensors[:colon]), _names(tensors[colon + 1 :]))


def _separator(text: str, tensors: str) -> int:
    """Return where the colon between frontier and live-outs stands in `tensors`."""
    plain = _without_escapes(tensors)
    if ":" not in plain:
        raise InvalidRegion(f"cannot read region '{text}': no ':' before the live-outs", hint=_FORM)
    single = [m.start() for m in re.finditer(r"(?<!:):(?!:)", plain)]
    numbered = {m.start() for m in _NUMBERED_NAME.finditer(plain)}
    found = single if len(single) == 1 else [at for at in single if at not in numbered]
    if len(found) != 1:
        raise InvalidRegion(
            f"cannot tell which ':' of region '{text}' separates frontier and live-outs",
            hint=r"write the colons inside tensor names as '\:'",
        )
    return found[0]


def _names(text: str) -> tuple[str, ...]:
    pieces = re.split(r"(?<!\\),", text)
    return tuple(re.sub(r"\\([:,])", r"\1", piece).strip() for piece in pieces)


def _without_escapes(text: str) -> str:
    """Return `text` at the same length with escaped characters blanked."""
    return re.sub(r"\\[:,]", "__", text)
