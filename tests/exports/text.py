"""Models of text: encoders, decoders with and without their past, encoder-decoders."""

from __future__ import annotations

from functools import partial

import torch
import transformers as hf

from tests.exports.subject import (
    PAST,
    ROWS,
    TOKENS,
    Architecture,
    Given,
    Subject,
    Wrapped,
    batch,
    mask,
    tokens,
)

#: Sizes that all configurations share.
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}
#: Opsets tried where the choice changes what the exporters write.
MANY_OPSETS = {"dynamo": (20, 18, 23), "torchscript": (17, 14, 20)}


def encoder(
    config: type, model: type, attention: str, *, outputs: tuple[str, ...] = ("last_hidden_state",), **sizes: object
) -> Subject:
    """An encoder of ids and their mask; `outputs` names attributes of what it returns."""
    given = {"pad_token_id": 0, "max_position_embeddings": 40, "intermediate_size": 96, **SMALL, **sizes}
    made = model(config(attn_implementation=attention, **given)).eval()

    def call(inner: torch.nn.Module, ids: torch.Tensor, attended: torch.Tensor) -> object:
        found = inner(input_ids=ids, attention_mask=attended)
        return tuple(getattr(found, name) for name in outputs)

    inputs = {"input_ids": tokens(), "attention_mask": mask()}
    return Subject(Wrapped(made, call), inputs, outputs, batch(outputs))


def bert_typed(attention: str) -> Subject:
    """BERT with token types and its pooler."""
    made = hf.BertModel(hf.BertConfig(attn_implementation=attention, intermediate_size=96, **SMALL)).eval()
    outputs = ("last_hidden_state", "pooler_output")

    def call(inner: torch.nn.Module, ids: torch.Tensor, attended: torch.Tensor, types: torch.Tensor) -> object:
        found = inner(input_ids=ids, attention_mask=attended, token_type_ids=types)
        return found.last_hidden_state, found.pooler_output

    types = Given(torch.randint(0, 2, (ROWS, TOKENS)), {0: "batch", 1: "tokens"})
    inputs = {"input_ids": tokens(), "attention_mask": mask(), "token_type_ids": types}
    return Subject(Wrapped(made, call), inputs, outputs, batch(outputs))


def decoder(model: type, config: object, *, masked: bool = True) -> Subject:
    """A decoder that reads whole texts.

    Without a mask it gets one of ones: else transformers looks for the ends of packed texts (``torch.diff``), which the
    older exporter does not know.
    """
    made = model(config).eval()

    def call(inner: torch.nn.Module, ids: torch.Tensor, attended: torch.Tensor | None = None) -> object:
        attended = torch.ones_like(ids) if attended is None else attended
        return inner(input_ids=ids, attention_mask=attended, use_cache=False).logits

    inputs = {"input_ids": tokens(), **({"attention_mask": mask()} if masked else {})}
    return Subject(Wrapped(made, call), inputs, ("logits",), batch(("logits",)))


def decoder_with_past(model: type, config: object, layers: int, heads: int, size: int) -> Subject:
    """A decoder step: new tokens, and the keys and values of those before, in and out."""
    made = model(config).eval()
    names = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]

    def call(inner: torch.nn.Module, ids: torch.Tensor, attended: torch.Tensor, *past: torch.Tensor) -> object:
        cache = hf.DynamicCache()
        for layer in range(layers):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        found = inner(input_ids=ids, attention_mask=attended, cache=cache, use_cache=True)
        kept = found.past_key_values.layers
        return found.logits, *(t for layer in kept for t in (layer.keys, layer.values))

    axes = {0: "batch", 2: "past"}
    past = {f"past.{name}": Given(torch.randn(ROWS, heads, PAST, size), axes) for name in names}
    both = Given(torch.ones(ROWS, PAST + TOKENS, dtype=torch.int64), {0: "batch", 1: "past + tokens"})
    outputs = ("logits", *(f"present.{name}" for name in names))
    inputs = {"input_ids": tokens(), "attention_mask": both, **past}
    return Subject(Wrapped(made, call), inputs, outputs, batch(outputs))


def gpt2_config(attention: str) -> hf.GPT2Config:
    return hf.GPT2Config(
        vocab_size=99,
        n_positions=40,
        n_embd=64,
        n_layer=2,
        n_head=4,
        attn_implementation=attention,
        use_cache=False,
        bos_token_id=1,
        eos_token_id=2,
    )


def llama_config(attention: str) -> hf.LlamaConfig:
    return hf.LlamaConfig(
        **SMALL,
        intermediate_size=96,
        num_key_value_heads=2,
        max_position_embeddings=40,
        attn_implementation=attention,
        use_cache=False,
    )


def t5_config(**sizes: int) -> hf.T5Config:
    small = {"vocab_size": 99, "d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4}
    return hf.T5Config(use_cache=False, **{**small, "num_decoder_layers": 2, **sizes})


def t5_encoder(attention: str) -> Subject:
    """T5's encoder."""
    made = hf.T5EncoderModel(t5_config()).eval()

    def call(inner: torch.nn.Module, ids: torch.Tensor, attended: torch.Tensor) -> object:
        return inner(input_ids=ids, attention_mask=attended).last_hidden_state

    inputs = {"input_ids": tokens(), "attention_mask": mask()}
    return Subject(Wrapped(made, call), inputs, ("last_hidden_state",), batch(("last_hidden_state",)))


def t5_decoder(attention: str, **sizes: int) -> Subject:
    """T5's decoder on the states of an encoder."""
    config = t5_config(**sizes)
    made = hf.T5ForConditionalGeneration(config).eval()

    def call(inner: torch.nn.Module, ids: torch.Tensor, states: torch.Tensor, attended: torch.Tensor) -> object:
        given = hf.modeling_outputs.BaseModelOutput(last_hidden_state=states)
        return inner(decoder_input_ids=ids, encoder_outputs=given, attention_mask=attended, use_cache=False).logits

    states = Given(torch.randn(ROWS, 11, config.d_model), {0: "batch", 1: "encoded"})
    inputs = {
        "decoder_input_ids": tokens(),
        "encoder_hidden_states": states,
        "encoder_attention_mask": mask(length=11, axis="encoded"),
    }
    return Subject(Wrapped(made, call), inputs, ("logits",), batch(("logits",)))


TEXT = {
    "bert": Architecture(bert_typed, ("sdpa", "eager"), MANY_OPSETS, optimiser="bert", forms=True),
    "bert-classifier": Architecture(
        partial(encoder, hf.BertConfig, hf.BertForSequenceClassification, outputs=("logits",)), optimiser="bert"
    ),
    "distilbert": Architecture(
        partial(encoder, hf.DistilBertConfig, hf.DistilBertModel, dim=64, n_layers=2, n_heads=4, hidden_dim=96),
        optimiser="bert",
    ),
    "roberta": Architecture(partial(encoder, hf.RobertaConfig, hf.RobertaModel), ("sdpa", "eager"), optimiser="bert"),
    "deberta-v2": Architecture(
        partial(
            encoder,
            hf.DebertaV2Config,
            hf.DebertaV2Model,
            relative_attention=True,
            position_buckets=8,
            pos_att_type=["p2c", "c2p"],
        ),
        ("eager",),
    ),
    "albert": Architecture(partial(encoder, hf.AlbertConfig, hf.AlbertModel, embedding_size=32)),
    "electra": Architecture(partial(encoder, hf.ElectraConfig, hf.ElectraModel, embedding_size=32)),
    "mpnet": Architecture(partial(encoder, hf.MPNetConfig, hf.MPNetModel), ("eager",)),
    "modernbert": Architecture(
        partial(
            encoder,
            hf.ModernBertConfig,
            hf.ModernBertModel,
            cls_token_id=1,
            sep_token_id=2,
            bos_token_id=1,
            eos_token_id=2,
            local_attention=4,
        )
    ),
    "gpt2": Architecture(
        lambda attention: decoder(hf.GPT2LMHeadModel, gpt2_config(attention)),
        ("sdpa", "eager"),
        MANY_OPSETS,
        optimiser="gpt2",
        forms=True,
    ),
    "gpt2-past": Architecture(
        lambda attention: decoder_with_past(hf.GPT2LMHeadModel, gpt2_config(attention), 2, 4, 16), ("sdpa", "eager")
    ),
    "llama": Architecture(
        lambda attention: decoder(hf.LlamaForCausalLM, llama_config(attention)),
        ("sdpa", "eager"),
        {"dynamo": (20, 23), "torchscript": (17,)},
    ),
    "llama-past": Architecture(
        lambda attention: decoder_with_past(hf.LlamaForCausalLM, llama_config(attention), 2, 2, 16)
    ),
    "t5-encoder": Architecture(t5_encoder, ("eager",), forms=True),
    "t5-decoder": Architecture(t5_decoder, ("eager",)),
}
