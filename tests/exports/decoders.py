"""Decoders of many architectures, in small configurations, and models that look ahead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import transformers as hf

from tests.exports.scans import mamba
from tests.exports.speech import whisper_decoder
from tests.exports.subject import ROWS, Given, Subject, Wrapped, batch, mask, tokens
from tests.exports.text import (
    SMALL,
    decoder,
    decoder_with_past,
    encoder,
    gpt2_config,
    llama_config,
    t5_decoder,
    t5_encoder,
)

#: Makes a decoder of an implementation of attention, and of whether a mask is handed in.
Made = Callable[[str, bool], Subject]


def config(kind: type, attention: str, **sizes: object) -> object:
    """A small configuration of a decoder."""
    common = {"max_position_embeddings": 40, "intermediate_size": 96, "use_cache": False, **SMALL}
    return kind(attn_implementation=attention, **{**common, "pad_token_id": 0, **sizes})


def plain(model: str, kind: str, **sizes: object) -> Made:
    """A decoder of tokens, by the names of its class and of its configuration."""

    def made(attention: str, masked: bool) -> Subject:
        known = getattr(getattr(hf, model), f"_supports_{attention}", True)
        chosen = config(getattr(hf, kind), attention if known else "eager", **sizes)
        return decoder(getattr(hf, model), chosen, masked=masked)

    return made


def grouped(model: str, kind: str, **sizes: object) -> Made:
    """A decoder of two heads of keys for four of queries."""
    return plain(model, kind, **{"num_key_value_heads": 2, **sizes})


def behind_past(model: str, kind: str, heads: int = 2, **sizes: object) -> Made:
    """A decoder that takes the keys and values of earlier calls."""
    given = {"num_key_value_heads": heads, **sizes}
    return lambda attention, masked: decoder_with_past(
        getattr(hf, model), config(getattr(hf, kind), attention, **given), 2, heads, 16
    )


def of_encoder(model: str, kind: str) -> Made:
    """The decoder of a model like BART, on the states of its encoder and their mask."""
    layers = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in _LAYERS.items()}

    def made(attention: str, masked: bool) -> Subject:
        inner = getattr(hf, model)(
            getattr(hf, kind)(vocab_size=99, d_model=64, max_position_embeddings=40, pad_token_id=0, **layers)
        )

        def call(whole: torch.nn.Module, ids: torch.Tensor, states: torch.Tensor, seen: torch.Tensor) -> object:
            given = {"encoder_hidden_states": states, "encoder_attention_mask": seen}
            return whole.lm_head(whole.model.decoder(input_ids=ids, **given, use_cache=False).last_hidden_state)

        states = Given(torch.randn(ROWS, 11, 64), {0: "batch", 1: "encoded"})
        inputs = {"decoder_input_ids": tokens(), "encoder_hidden_states": states}
        inputs["encoder_attention_mask"] = mask(length=11, axis="encoded")
        return Subject(Wrapped(inner.eval(), call), inputs, ("logits",), batch(("logits",)))

    return made


_LAYERS = {"layers": 2, "attention_heads": 4, "ffn_dim": 96}
_OPT = {"ffn_dim": 96, "word_embed_proj_dim": 64}

DECODERS: dict[str, Made] = {
    "gpt2": lambda a, masked: decoder(hf.GPT2LMHeadModel, gpt2_config(a), masked=masked),
    "llama": lambda a, masked: decoder(hf.LlamaForCausalLM, llama_config(a), masked=masked),
    "qwen2": grouped("Qwen2ForCausalLM", "Qwen2Config"),
    "qwen3": grouped("Qwen3ForCausalLM", "Qwen3Config", head_dim=16),
    "mistral": grouped("MistralForCausalLM", "MistralConfig", sliding_window=5),
    "starcoder2": grouped("Starcoder2ForCausalLM", "Starcoder2Config", sliding_window=5),
    "gemma": grouped("GemmaForCausalLM", "GemmaConfig", head_dim=16),
    "gemma2": grouped("Gemma2ForCausalLM", "Gemma2Config", head_dim=16, sliding_window=5),
    "gemma3": grouped("Gemma3ForCausalLM", "Gemma3TextConfig", head_dim=16, sliding_window=5),
    "phi": plain("PhiForCausalLM", "PhiConfig", num_key_value_heads=4),
    "phi3": grouped("Phi3ForCausalLM", "Phi3Config", original_max_position_embeddings=40),
    "gpt-neox": plain("GPTNeoXForCausalLM", "GPTNeoXConfig"),
    "gpt-neo": plain("GPTNeoForCausalLM", "GPTNeoConfig", attention_types=[[["global", "local"], 1]], window_size=5),
    "gptj": plain("GPTJForCausalLM", "GPTJConfig", rotary_dim=16, n_inner=96),
    "opt": plain("OPTForCausalLM", "OPTConfig", **_OPT),
    "bloom": plain("BloomForCausalLM", "BloomConfig"),
    "falcon": plain("FalconForCausalLM", "FalconConfig"),
    "falcon alibi": plain("FalconForCausalLM", "FalconConfig", alibi=True),
    "mpt": plain("MptForCausalLM", "MptConfig", expansion_ratio=2, max_seq_len=40),
    "stablelm": grouped("StableLmForCausalLM", "StableLmConfig"),
    "olmo2": grouped("Olmo2ForCausalLM", "Olmo2Config"),
    "cohere": grouped("CohereForCausalLM", "CohereConfig"),
    "granite": grouped("GraniteForCausalLM", "GraniteConfig"),
    "glm": grouped("GlmForCausalLM", "GlmConfig", head_dim=16),
    "bert that decodes": plain("BertLMHeadModel", "BertConfig", is_decoder=True),
    "gpt2 past": lambda a, masked: decoder_with_past(hf.GPT2LMHeadModel, gpt2_config(a), 2, 4, 16),
    "llama past": lambda a, masked: decoder_with_past(hf.LlamaForCausalLM, llama_config(a), 2, 2, 16),
    "opt past": behind_past("OPTForCausalLM", "OPTConfig", 4, **_OPT),
    "qwen2 past": behind_past("Qwen2ForCausalLM", "Qwen2Config"),
    "mistral past": behind_past("MistralForCausalLM", "MistralConfig", sliding_window=None),
    "phi3 past": behind_past("Phi3ForCausalLM", "Phi3Config", original_max_position_embeddings=40),
    "gpt-neox past": behind_past("GPTNeoXForCausalLM", "GPTNeoXConfig", 4),
    "t5 decoder": lambda a, masked: t5_decoder(a),
    "bart decoder": of_encoder("BartForConditionalGeneration", "BartConfig"),
    "marian decoder": of_encoder("MarianMTModel", "MarianConfig"),
    "pegasus decoder": of_encoder("PegasusForConditionalGeneration", "PegasusConfig"),
    "whisper decoder": lambda a, masked: whisper_decoder(a),
    "mamba decoder": lambda a, masked: mamba(),
}

#: Models in which positions see later ones.
AHEAD: dict[str, Callable[[str], Subject]] = {
    "bert": partial(encoder, hf.BertConfig, hf.BertModel),
    "distilbert": partial(encoder, hf.DistilBertConfig, hf.DistilBertModel, dim=64, n_layers=2, n_heads=4),
    "modernbert": partial(encoder, hf.ModernBertConfig, hf.ModernBertModel, local_attention=4, cls_token_id=1),
    "gemma3 in both directions": lambda a: _both_directions(a),
    "t5 encoder": t5_encoder,
}


def _both_directions(attention: str) -> Subject:
    small = {"num_key_value_heads": 2, "head_dim": 16, "sliding_window": 5, "use_bidirectional_attention": True}
    return decoder(hf.Gemma3ForCausalLM, config(hf.Gemma3TextConfig, attention, **small))
