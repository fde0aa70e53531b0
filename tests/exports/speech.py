"""Models of sound."""

from __future__ import annotations

import torch
import transformers as hf

from tests.exports.subject import ROWS, Architecture, Given, Subject, Wrapped, batch, tokens


def whisper_config(attention: str, **sizes: int) -> hf.WhisperConfig:
    small = {
        "vocab_size": 99,
        "num_mel_bins": 20,
        "d_model": 64,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 96,
        "decoder_ffn_dim": 96,
        "max_source_positions": 30,
        "max_target_positions": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }
    return hf.WhisperConfig(attn_implementation=attention, use_cache=False, **{**small, **sizes})


def whisper_encoder(attention: str) -> Subject:
    """Whisper's encoder on mel spectrograms of its fixed length."""
    made = hf.WhisperModel(whisper_config(attention)).encoder.eval()

    def call(inner: torch.nn.Module, mel: torch.Tensor) -> object:
        return inner(mel).last_hidden_state

    inputs = {"input_features": Given(torch.randn(ROWS, 20, 60), {0: "batch"})}
    return Subject(Wrapped(made, call), inputs, ("last_hidden_state",), batch(("last_hidden_state",)))


def whisper_decoder(attention: str, **sizes: int) -> Subject:
    """Whisper's decoder on the states of its encoder; it gets a mask of ones, as :func:`tests.exports.text.decoder`."""
    config = whisper_config(attention, **sizes)
    made = hf.WhisperForConditionalGeneration(config).eval()

    def call(inner: torch.nn.Module, ids: torch.Tensor, states: torch.Tensor) -> object:
        attended = torch.ones_like(ids)
        decoder = inner.model.decoder
        found = decoder(input_ids=ids, attention_mask=attended, encoder_hidden_states=states, use_cache=False)
        return inner.proj_out(found.last_hidden_state)

    states = Given(torch.randn(ROWS, config.max_source_positions, config.d_model), {0: "batch"})
    inputs = {"decoder_input_ids": tokens(), "encoder_hidden_states": states}
    return Subject(Wrapped(made, call), inputs, ("logits",), batch(("logits",)))


def wav2vec2(attention: str) -> Subject:
    """Wav2Vec2 with its CTC head, on raw samples."""
    config = hf.Wav2Vec2Config(
        vocab_size=30,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        conv_dim=(16, 16),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        attn_implementation=attention,
    )

    def call(inner: torch.nn.Module, samples: torch.Tensor) -> object:
        return inner(samples).logits

    inputs = {"input_values": Given(torch.randn(ROWS, 400), {0: "batch", 1: "samples"})}
    return Subject(Wrapped(hf.Wav2Vec2ForCTC(config).eval(), call), inputs, ("logits",), batch(("logits",)))


SPEECH = {
    "whisper-encoder": Architecture(
        whisper_encoder, ("sdpa", "eager"), {"dynamo": (20, 18, 23), "torchscript": (17, 14, 20)}, forms=True
    ),
    "whisper-decoder": Architecture(whisper_decoder, ("sdpa", "eager")),
    "wav2vec2": Architecture(wav2vec2),
}
