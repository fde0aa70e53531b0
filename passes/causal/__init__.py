"""Causality: which tensors are proven to depend, at each position of a sequence, on earlier positions only.

===================  ==============================================================================
``state``            the lattice (``Fixed``, ``Counted``, ``Causal``, ``Ahead``) and abstract values
``forms``            how entries are computed from their own positions: masks are followed by it
``bounds``           between which numbers a form lies where one position is later than another
``magnitudes``       how large the numbers of a tensor may get, by weights and normalisations
``written_norms``    normalisations that are written as operators
``registry``         the registry of rules, and what a rule sees and says of its node
``closing``          whether a mask closes what is later than each position
``joining``          positions under broadcasting and in products
``analysis``         the interpreter: :func:`prove_causal`
``rules_*``          one file of rules per family of operators; importing them fills the registry
===================  ==============================================================================

Symbolic sizes, small integers and declarations are those of the row analysis (:mod:`actcache.passes.rows`).
"""

from actcache.passes.causal import (
    rules_attention,
    rules_contrib_attention,
    rules_elementwise,
    rules_index,
    rules_normalise,
    rules_product,
    rules_quantise,
    rules_scan,
    rules_scatter,
    rules_select,
    rules_sequence,
    rules_shape,
)
from actcache.passes.causal.analysis import CausalProof, prove_causal
from actcache.passes.causal.registry import RULES, Result
from actcache.passes.causal.state import Ahead, Causal, Counted, Fixed, Place, State

#: Imported for the rules they register.
RULE_FAMILIES = (
    rules_attention,
    rules_contrib_attention,
    rules_elementwise,
    rules_index,
    rules_normalise,
    rules_product,
    rules_quantise,
    rules_scan,
    rules_scatter,
    rules_select,
    rules_sequence,
    rules_shape,
)

__all__ = [
    "RULES",
    "RULE_FAMILIES",
    "Ahead",
    "Causal",
    "CausalProof",
    "Counted",
    "Fixed",
    "Place",
    "Result",
    "State",
    "prove_causal",
]
