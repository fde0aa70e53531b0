"""Operators of com.microsoft that are refused, in words: they have no axis of rows, or no rule that could be tested."""

from __future__ import annotations

from actcache.passes.rows.registry import MICROSOFT, barrier

#: Sequences of different lengths, one behind the other on an axis of tokens.
_PACKED = (
    "GatedDeltaNet MoEPacked PackedAttention PackedMultiHeadAttention PackedSparseAttentionIndexer "
    "PackedSparseAttentionIndexerMerge PagedAttention RemovePadding RestorePadding SparsePagedAttention "
    "VarlenCausalConvWithState VarlenNGramHashMapping"
).split()

#: Generate text: the beams, the lengths and the end of the search are those of the whole batch.
_SEARCHES = "BeamSearch GreedySearch WhisperBeamSearch".split()

#: Write their keys and values into a cache that they share with the caller.
_SHARED_CACHES = "DecoderMaskedMultiHeadAttention DecoderMaskedSelfAttention SparseAttention".split()

#: Take all that they are given for one problem, or say one thing of all of it.
_WHOLE = "BifurcationDetector DynamicTimeWarping IsAllFinite SpeculativePrefixCommit".split()

#: onnxruntime for the CPU has no kernel of them, or none that a small model can show to be row-independent.
_UNTESTED = (
    "AttnLSTM BiasAdd BiasSoftmax BiasSplitGelu ComplexMul ComplexMulConj ConvStateReplay DecoderAttention "
    "DequantizeBFP DequantizeWithOrder DynamicSparseAttention EPContext FusedMatMulActivation "
    "GatedDeltaNetStateReplay GatedRelativePositionBias GatherPacked GemmFastGelu GemmFloat8 "
    "GemmaRotaryEmbedding GroupNorm HyperConnectionLowRankMix Irfft LongformerAttention Mamba2Verify "
    "MatMulBlockQuantizedFp4Weight MatMulBlockQuantizedFp8Weight MatMulNBitsMlp MatMulNBitsQLoRA "
    "MatMulNBitsQkv MatMulPacked MaxpoolWithMask MulInteger NhwcConv NhwcFusedConv QLinearReduceMean "
    "QOrderedAttention QOrderedGelu QOrderedLayerNormalization QOrderedLongformerAttention QOrderedMatMul "
    "QuantizeBFP QuantizeWithOrder RMSNormRotary ReduceSumInteger RelativePositionBias Rfft RouterGateUpProj "
    "SkipGroupNorm Snpe SparseAttentionIndexer SwiGLU TorchEmbedding"
).split()

_REASONS = {
    "packed-tokens": ("puts sequences of different lengths on one axis: no axis holds the rows", _PACKED),
    "text-generation": ("generates text for the whole batch at once", _SEARCHES),
    "shared-cache": ("writes into a cache that it shares with the caller", _SHARED_CACHES),
    "whole-batch": ("takes the whole batch for one problem", _WHOLE),
    "not-followed": ("has no row rule, as none could be tested on the CPU", _UNTESTED),
}

for _slug, (_reason, _operators) in _REASONS.items():
    for _operator in _operators:
        barrier(_operator, _slug, f"{_operator} {_reason}", domain=MICROSOFT)

barrier(
    "Tokenizer", "data-dependent-shape", "Tokenizer pads every row to the longest split of the batch", domain=MICROSOFT
)
barrier("SparseToDenseMatMul", "non-tensor", "SparseToDenseMatMul takes a sparse matrix", domain=MICROSOFT)
