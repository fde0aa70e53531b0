"""Cuts: how the calls of a region are divided into units, the things that entries hold.

================  ============================================================================
``cut``           what every cut says, and how a call is divided: :class:`Cut`, :class:`Units`
``rows``          the rows of a batch
``prefix``        blocks of positions of a sequence
``ends``          how what is known behind the last position of a call alone is kept
``whole``         the call as a whole
``conditions``    what has to hold of ranks and sizes
``case``          the calls by which verification tries a cut: :class:`Division`
``row_cases``     those for the rows of a batch
``prefix_cases``  those for the positions of a sequence
================  ============================================================================

``custom_ops/src/units/cut.h`` is the same for the operators, which decide; ``tests/unit/test_cuts.py`` compares both.
"""

from collections.abc import Mapping
from typing import Any

from actcache.passes.cuts.cut import Cut, Granularity, OneUnit, TensorShape, Units
from actcache.passes.cuts.ends import End, Layout
from actcache.passes.cuts.prefix import PrefixCut
from actcache.passes.cuts.prefix_cases import PrefixDivision
from actcache.passes.cuts.row_cases import RowDivision
from actcache.passes.cuts.rows import RowCut
from actcache.passes.cuts.whole import WholeCut

#: How the inputs of a model may be divided.
AnyDivision = RowDivision | PrefixDivision

#: By the operators' attribute ``granularity``.
CUTS: Mapping[Granularity, type[Cut]] = {"row": RowCut, "prefix": PrefixCut, "tensor": WholeCut}


def read_cut(attributes: Mapping[str, Any]) -> Cut:
    """Return the cut that the attributes of a ``CacheLookup`` describe, models of earlier versions included.

    Raises:
        KeyError: An attribute is missing, or the granularity is none.
    """
    return CUTS[attributes["granularity"].decode()].read(attributes)


__all__ = [
    "CUTS",
    "AnyDivision",
    "Cut",
    "End",
    "Granularity",
    "Layout",
    "OneUnit",
    "PrefixCut",
    "PrefixDivision",
    "RowCut",
    "RowDivision",
    "TensorShape",
    "Units",
    "WholeCut",
    "read_cut",
]
