"""Row independence: which tensors are proven to keep the rows of a batch apart, and if not, why not.

===================  =============================================================================
``sizes``            symbolic sizes: polynomials in N and the other unknown sizes
``state``            the lattice (``Row``, ``RowFree``, ``Mixed``, …) and the abstract value of a tensor
``registry``         the registry of rules and what a rule sees of its node
``broadcasting``     rows under broadcasting and in products
``declared``         which declarations are believed, and of which calls that holds
``named_sizes``      axes of inputs that have one name, and what a call has to satisfy if that is believed
``joining``          two branches of an ``If``
``loops``            the bodies of ``Loop`` and ``Scan``
``analysis``         the interpreter: :func:`prove_rows`
``hypotheses``       which axes of which inputs may hold rows: :func:`row_hypotheses`
``rules_*``          one file of rules per family of operators; importing them fills the registry
===================  =============================================================================
"""

from actcache.passes.rows import (
    rules_attention,
    rules_elementwise,
    rules_experts,
    rules_index,
    rules_loss,
    rules_ml,
    rules_normalise,
    rules_product,
    rules_quantise,
    rules_recurrent,
    rules_reduce,
    rules_refused,
    rules_rois,
    rules_select,
    rules_shape,
    rules_signal,
    rules_spatial,
    rules_state_space,
)
from actcache.passes.rows.analysis import RowProof, prove_rows
from actcache.passes.rows.hypotheses import row_hypotheses, with_namesakes
from actcache.passes.rows.named_sizes import SizeEquation
from actcache.passes.rows.registry import RULES
from actcache.passes.rows.state import BatchSize, Mixed, Row, RowCoords, RowFree, RowIndex, State

#: Imported for the rules they register.
RULE_FAMILIES = (
    rules_attention,
    rules_elementwise,
    rules_experts,
    rules_index,
    rules_loss,
    rules_ml,
    rules_normalise,
    rules_product,
    rules_quantise,
    rules_recurrent,
    rules_reduce,
    rules_refused,
    rules_rois,
    rules_select,
    rules_shape,
    rules_signal,
    rules_spatial,
    rules_state_space,
)

__all__ = [
    "RULES",
    "RULE_FAMILIES",
    "BatchSize",
    "Mixed",
    "Row",
    "RowCoords",
    "RowFree",
    "RowIndex",
    "RowProof",
    "SizeEquation",
    "State",
    "prove_rows",
    "row_hypotheses",
    "with_namesakes",
]
