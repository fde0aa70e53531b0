"""What actcache knows about operators beyond the ONNX specification: the only place for such lists.

Sources: the operator specifications of ai.onnx and ai.onnx.ml (through ``onnx.defs``) and the list of
com.microsoft operators in onnxruntime's documentation.
"""

from __future__ import annotations

import re

#: The default domain has two spellings.
ONNX_DOMAINS = frozenset({"", "ai.onnx"})

#: Domains whose operators are functions of their inputs unless listed below.
PURE_DOMAINS = ONNX_DOMAINS | {"ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}

#: Draw from a random generator, whatever their attributes.
RANDOM = frozenset(
    {
        ("", "Bernoulli"),
        ("", "Multinomial"),
        ("", "RandomNormal"),
        ("", "RandomNormalLike"),
        ("", "RandomUniform"),
        ("", "RandomUniformLike"),
        ("com.microsoft", "BiasDropout"),
        ("com.microsoft", "BitmaskBiasDropout"),
        ("com.microsoft", "BitmaskDropout"),
        ("com.microsoft", "DropoutGrad"),
        ("com.microsoft", "Sampling"),
    }
)

#: Write in place into caches, or into other memory, that the host keeps from call to call, or run what is in a file.
STATEFUL = frozenset(
    {
        ("com.microsoft", "ConvStateReplay"),
        ("com.microsoft", "DecoderMaskedMultiHeadAttention"),
        ("com.microsoft", "DecoderMaskedSelfAttention"),
        ("com.microsoft", "EPContext"),
        ("com.microsoft", "GatedDeltaNetStateReplay"),
        ("com.microsoft", "PagedAttention"),
        ("com.microsoft", "Snpe"),
        ("com.microsoft", "SparseAttention"),
        ("com.microsoft", "SparsePagedAttention"),
        ("com.microsoft", "SpeculativePrefixCommit"),
    }
)

#: Operators of ai.onnx that onnxruntime's optimiser writes although ONNX does not define them.
RUNTIME_OPERATORS = frozenset({"SimplifiedLayerNormalization"})

#: Make or take values that are not dense tensors; a cache entry holds dense tensors only.
NON_TENSOR = frozenset(
    {
        ("", "ConcatFromSequence"),
        ("", "Optional"),
        ("", "OptionalGetElement"),
        ("", "OptionalHasElement"),
        ("", "SequenceAt"),
        ("", "SequenceConstruct"),
        ("", "SequenceEmpty"),
        ("", "SequenceErase"),
        ("", "SequenceInsert"),
        ("", "SequenceLength"),
        ("", "SequenceMap"),
        ("", "SplitToSequence"),
        ("ai.onnx.ml", "CastMap"),
        ("ai.onnx.ml", "DictVectorizer"),
        ("ai.onnx.ml", "ZipMap"),
    }
)

#: Operators for which onnx infers types from that of their input without asking whether it has one: if not, the process
#: dies. They are the same in onnx 1.16, 1.18 and 1.23 (``tests/unit/test_inference.py`` tries all of onnx's operators).
READ_TYPES = frozenset(
    {
        ("", "EyeLike"),
        ("", "RegexFullMatch"),
        ("ai.onnx.ml", "DictVectorizer"),
        ("ai.onnx.ml", "LabelEncoder"),
        ("ai.onnx.ml", "TreeEnsemble"),
    }
)

#: Names that onnxruntime's MatMulAddFusion gives to constants that it makes, whether or not a body has such constants
#: already, as it does in a model that was optimised before: it then fails to load.
GENERATED_CONSTANTS = re.compile(r"gemm_(input|output)_shape(_token_\d+)?")


def canonical_domain(domain: str) -> str:
    """Return the one spelling of a domain used in these tables (``""`` for ai.onnx)."""
    return "" if domain in ONNX_DOMAINS else domain
