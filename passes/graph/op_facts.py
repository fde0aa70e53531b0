"""What actcache knows about operators beyond the ONNX specification: the only place for such lists.

Sources: the operator specifications of ai.onnx and ai.onnx.ml (through ``onnx.defs``) and those that onnxruntime has of
its own operators (``get_all_operator_schema``), read for each of them.
"""

from __future__ import annotations

import re

#: The default domain has two spellings.
ONNX_DOMAINS = frozenset({"", "ai.onnx"})

#: Domains of operators that onnxruntime brings along.
BUILT_IN_DOMAINS = ONNX_DOMAINS | {"ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}

#: Operators that ONNX defines are functions of their inputs unless listed below: those of these operator sets, and of
#: earlier ones. What a later set adds is not known.
READ_SETS = {"": 28, "ai.onnx.ml": 5}

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

#: Operators that onnxruntime adds to those, as far as they are functions of their inputs: all that onnxruntime 1.18 to
#: 1.32 declares and that are not listed above, but no operator of ``com.ms.internal.nhwc``, which only GPUs run. It may
#: declare random or stateful ones at any time, so an operator that is not here is not known.
_CONTRIB = """
    Attention AttnLSTM BeamSearch BiasAdd BiasGelu BiasSoftmax BiasSplitGelu BifurcationDetector
    BranchwiseRMSNorm CDist CausalConvWithState ComplexMul ComplexMulConj ConvTransposeWithDynamicPads
    CropAndResize DecoderAttention DequantizeBFP DequantizeLinear DequantizeWithOrder DynamicQuantizeLSTM
    DynamicQuantizeMatMul DynamicSparseAttention DynamicTimeWarping EmbedLayerNormalization EngramGate
    ExpandDims FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatedAdd GatedDeltaNet
    GatedRMSNorm GatedRelativePositionBias GatherBlockQuantized GatherND GatherPacked Gelu GemmFastGelu
    GemmFloat8 GemmaRotaryEmbedding GreedySearch GridSample GroupNorm GroupQueryAttention
    HyperConnectionLowRankMix HyperConnectionPostMix HyperConnectionPreMix Inverse Irfft IsAllFinite
    LinearAttention LinearAttentionGate LongformerAttention MRotaryEmbedding Mamba2Verify
    MatMulBlockQuantizedFp4Weight MatMulBlockQuantizedFp8Weight MatMulBnb4 MatMulFpQ4 MatMulInteger16
    MatMulIntegerToFloat MatMulNBits MatMulNBitsMlp MatMulNBitsQLoRA MatMulNBitsQkv MatMulPacked MaxpoolWithMask
    MoE MoEGroupRouter MoEPacked MulInteger MultiHeadAttention MurmurHash3 NGramHashMapping NGramRepeatBlock
    NhwcConv NhwcFusedConv NhwcMaxPool PackedAttention PackedMultiHeadAttention PackedSparseAttentionIndexer
    PackedSparseAttentionIndexerMerge Pad QAttention QEmbedLayerNormalization QGemm QLinearAdd
    QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul
    QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QOrderedAttention QOrderedGelu
    QOrderedLayerNormalization QOrderedLongformerAttention QOrderedMatMul QuantizeBFP QuantizeLinear
    QuantizeWithOrder QuickGelu RMSNormRotary Range ReduceSumInteger RelativePositionBias RemovePadding
    RestorePadding Rfft RotaryEmbedding RouterGateUpProj SampleOp ScaledSiLU SkipGroupNorm
    SkipLayerNormalization SkipSimplifiedLayerNormalization SparseAttentionIndexer SparseToDenseMatMul SwiGLU
    Tokenizer TorchEmbedding TransposeMatMul Trilu UnfoldTensor Unique VarlenCausalConvWithState
    VarlenNGramHashMapping WhisperBeamSearch WordConvEmbedding
"""
_NCHWC = """
    AveragePool Conv GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample
"""
RUNTIME_OPERATORS = frozenset(
    {
        ("", "SimplifiedLayerNormalization"),  # written by the optimiser
        *(("com.microsoft", name) for name in _CONTRIB.split()),
        *(("com.microsoft.nchwc", name) for name in _NCHWC.split()),
    }
)

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
