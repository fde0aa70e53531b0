"""Decoders of further architectures, and sequence models made of PyTorch's layers, by the first exporter that can."""

# mypy: allow-subclassing-any
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import transformers as hf
from torch import nn

from tests.exports.decoders import Made, grouped, of_encoder, plain
from tests.exports.subject import Subject, Wrapped, batch, tokens
from tests.exports.text import decoder

#: Each position is sent to its experts by products with the weights that are looked up: exporters follow that.
_EXPERTS = {"experts_implementation": "batched_mm", "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}
_GPT = {"n_positions": 40, "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 99}


def from_sizes(model: str, kind: str, **sizes: object) -> Made:
    """A decoder whose configuration has names of its own for its sizes."""

    def made(attention: str, masked: bool) -> Subject:
        chosen = getattr(hf, kind)(**{"use_cache": False, "pad_token_id": 0, **sizes})
        return decoder(getattr(hf, model), chosen, masked=masked)

    return made


def layers(make: Callable[[], nn.Module]) -> Made:
    """A model of tokens made of PyTorch's layers; a mask is not handed in."""

    def made(attention: str, masked: bool) -> Subject:
        def call(inner: nn.Module, ids: torch.Tensor) -> object:
            return inner(ids)

        return Subject(Wrapped(make().eval(), call), {"input_ids": tokens()}, ("logits",), batch(("logits",)))

    return made


class Recurrent(nn.Module):
    """Embedding, a recurrence of two layers, scores of words."""

    def __init__(self, kind: type[nn.Module], **sizes: object) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(99, 32), nn.Linear(32, 99)
        self.layers = kind(32, 32, num_layers=2, batch_first=True, **sizes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states, _ = self.layers(self.embedding(ids))
        return self.head(states)


class Convolutions(nn.Module):
    """WaveNet: dilated convolutions padded in front, gates, and skips."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(99, 32), nn.Conv1d(32, 99, 1)
        self.spread = (1, 2, 4)
        self.gates = nn.ModuleList(nn.Conv1d(32, 64, 2, dilation=each) for each in self.spread)
        self.skips = nn.ModuleList(nn.Conv1d(32, 32, 1) for _ in self.spread)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids).transpose(1, 2)
        skipped = torch.zeros_like(x)
        for spread, gate, skip in zip(self.spread, self.gates, self.skips, strict=True):
            value, open_ = gate(nn.functional.pad(x, (spread, 0))).chunk(2, dim=1)
            x = x + torch.tanh(value) * torch.sigmoid(open_)
            skipped = skipped + skip(x)
        return self.head(torch.relu(skipped)).transpose(1, 2)


class Slopes(nn.Module):
    """Attention whose scores fall with distance (ALiBi), written by hand, with a running mean beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.qkv, self.head = nn.Embedding(99, 32), nn.Linear(32, 96), nn.Linear(32, 99)
        self.register_buffer("slopes", torch.tensor([0.5, 0.125])[:, None, None])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        rows, count, width = x.shape
        query, key, value = (p.reshape(rows, count, 2, 16).transpose(1, 2) for p in self.qkv(x).chunk(3, dim=-1))
        at = torch.arange(count, device=ids.device)
        far = (at[None, :] - at[:, None]).to(x.dtype) * self.slopes
        scores = query @ key.transpose(-1, -2) / 4 + far
        scores = scores.masked_fill(at[None, :] > at[:, None], float("-inf"))
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(rows, count, width)
        mean = x.cumsum(1) / (at + 1).to(x.dtype)[None, :, None]
        return self.head(x + mixed + mean)


class Encoder(nn.Module):
    """PyTorch's own layers of attention, with the mask that they make for decoders."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(99, 32), nn.Linear(32, 99)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        count = ids.shape[1]
        closed = torch.full((count, count), float("-inf")).triu(1)
        return self.head(self.layer(self.embedding(ids), src_mask=closed))


class Annotated(nn.Module):
    """Attention by hand as textbooks have it: sines written into features, -1e9 for what is closed, a norm before."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.qkv, self.head = nn.Embedding(99, 32), nn.Linear(32, 96), nn.Linear(32, 99)
        self.norm = nn.LayerNorm(32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        rows, count, width = x.shape
        turned = torch.arange(count)[:, None] * torch.exp(torch.arange(0, width, 2) * -0.3)
        waves = torch.zeros(count, width)
        waves[:, 0::2], waves[:, 1::2] = torch.sin(turned), torch.cos(turned)
        x = x + waves
        query, key, value = (p.reshape(rows, count, 2, 16).transpose(1, 2) for p in self.qkv(self.norm(x)).chunk(3, -1))
        scores = (query @ key.transpose(-1, -2) / 4).masked_fill(torch.ones(count, count).tril() == 0, -1e9)
        return self.head(x + (scores.softmax(-1) @ value).transpose(1, 2).reshape(rows, count, width))


class Planes(nn.Module):
    """As models that clean speech: convolutions over time and frequency, zeros joined in front of time."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(99, 32), nn.Linear(32, 99)
        self.first, self.second = nn.Conv2d(1, 4, (2, 3), padding=(0, 1)), nn.Conv2d(4, 1, (3, 3), padding=(0, 1))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)[:, None]
        y = torch.relu(self.first(nn.functional.pad(x, (0, 0, 1, 0))))
        y = self.second(torch.cat([y.new_zeros(y.shape[0], 4, 2, 32), y], 2))
        return self.head((x + y)[:, 0])


FURTHER: dict[str, Made] = {
    "olmo": grouped("OlmoForCausalLM", "OlmoConfig"),
    "olmo3": grouped("Olmo3ForCausalLM", "Olmo3Config", sliding_window=5),
    "persimmon": plain("PersimmonForCausalLM", "PersimmonConfig"),
    "xglm": from_sizes("XGLMForCausalLM", "XGLMConfig", vocab_size=99, max_position_embeddings=40, d_model=64,
                       ffn_dim=96, num_layers=2, attention_heads=4),
    "codegen": from_sizes("CodeGenForCausalLM", "CodeGenConfig", **_GPT, n_ctx=40, rotary_dim=16),
    "gpt-bigcode": from_sizes("GPTBigCodeForCausalLM", "GPTBigCodeConfig", **_GPT),
    "openai-gpt": from_sizes("OpenAIGPTLMHeadModel", "OpenAIGPTConfig", **_GPT),
    "ctrl": from_sizes("CTRLLMHeadModel", "CTRLConfig", vocab_size=99, n_positions=40, n_embd=64, dff=96, n_layer=2,
                       n_head=4),
    "biogpt": plain("BioGptForCausalLM", "BioGptConfig"),
    "nemotron": grouped("NemotronForCausalLM", "NemotronConfig"),
    "cohere2": grouped("Cohere2ForCausalLM", "Cohere2Config", sliding_window=5),
    "glm4": grouped("Glm4ForCausalLM", "Glm4Config", head_dim=16),
    "smollm3": grouped("SmolLM3ForCausalLM", "SmolLM3Config"),
    "arcee": grouped("ArceeForCausalLM", "ArceeConfig"),
    "apertus": grouped("ApertusForCausalLM", "ApertusConfig"),
    # Less is left out by the newer exporter, and a padding token is divided by 0.
    "helium": grouped("HeliumForCausalLM", "HeliumConfig", head_dim=16, rms_norm_eps=1e-5),
    "ernie 4.5": grouped("Ernie4_5ForCausalLM", "Ernie4_5Config", head_dim=16),
    "exaone4": grouped("Exaone4ForCausalLM", "Exaone4Config", sliding_window=5),
    "seed oss": grouped("SeedOssForCausalLM", "SeedOssConfig", head_dim=16),
    "hunyuan": grouped("HunYuanDenseV1ForCausalLM", "HunYuanDenseV1Config", head_dim=16),
    "diffllama": grouped("DiffLlamaForCausalLM", "DiffLlamaConfig"),
    "nanochat": grouped("NanoChatForCausalLM", "NanoChatConfig"),
    "vaultgemma": grouped("VaultGemmaForCausalLM", "VaultGemmaConfig", head_dim=16, sliding_window=5),
    "jais2": grouped("Jais2ForCausalLM", "Jais2Config"),
    "lfm2": grouped("Lfm2ForCausalLM", "Lfm2Config", layer_types=["conv", "full_attention"]),
    "modernbert that decodes": plain("ModernBertDecoderForCausalLM", "ModernBertDecoderConfig", local_attention=4,
                                     cls_token_id=1, sep_token_id=2),
    "mixtral": grouped("MixtralForCausalLM", "MixtralConfig", num_local_experts=4, **_EXPERTS),
    "qwen2 moe": grouped("Qwen2MoeForCausalLM", "Qwen2MoeConfig", num_experts=4,
                         shared_expert_intermediate_size=32, **_EXPERTS),
    "qwen3 moe": grouped("Qwen3MoeForCausalLM", "Qwen3MoeConfig", num_experts=4, head_dim=16, **_EXPERTS),
    "olmoe": grouped("OlmoeForCausalLM", "OlmoeConfig", num_experts=4, **_EXPERTS),
    "gpt-oss": grouped("GptOssForCausalLM", "GptOssConfig", head_dim=16, num_local_experts=4, sliding_window=5,
                       **_EXPERTS),
    "deepseek v2": plain("DeepseekV2ForCausalLM", "DeepseekV2Config", first_k_dense_replace=2, **_LATENT),
    "deepseek v3": plain("DeepseekV3ForCausalLM", "DeepseekV3Config", first_k_dense_replace=2, **_LATENT),
    "minicpm3": plain("MiniCPM3ForCausalLM", "MiniCPM3Config", **_LATENT),
    "roberta that decodes": plain("RobertaForCausalLM", "RobertaConfig", is_decoder=True),
    "xlm-roberta that decodes": plain("XLMRobertaForCausalLM", "XLMRobertaConfig", is_decoder=True),
    "electra that decodes": plain("ElectraForCausalLM", "ElectraConfig", is_decoder=True, embedding_size=32),
    "roformer that decodes": plain("RoFormerForCausalLM", "RoFormerConfig", is_decoder=True),
    "megatron that decodes": plain("MegatronBertForCausalLM", "MegatronBertConfig", is_decoder=True),
    "rembert that decodes": plain("RemBertForCausalLM", "RemBertConfig", is_decoder=True, input_embedding_size=32,
                                  output_embedding_size=32),
    "mbart decoder": of_encoder("MBartForConditionalGeneration", "MBartConfig"),
    "m2m100 decoder": of_encoder("M2M100ForConditionalGeneration", "M2M100Config"),
    "blenderbot decoder": of_encoder("BlenderbotForConditionalGeneration", "BlenderbotConfig"),
    "plbart decoder": of_encoder("PLBartForConditionalGeneration", "PLBartConfig"),
    "mvp decoder": of_encoder("MvpForConditionalGeneration", "MvpConfig"),
    "lstm decoder": layers(partial(Recurrent, nn.LSTM)),
    "gru decoder": layers(partial(Recurrent, nn.GRU)),
    "rnn decoder": layers(partial(Recurrent, nn.RNN)),
    "wavenet decoder": layers(Convolutions),
    "alibi decoder": layers(Slopes),
    "nn.Transformer decoder": layers(Encoder),
    "annotated decoder": layers(Annotated),
    "planes decoder": layers(Planes),
    "doge": grouped("DogeForCausalLM", "DogeConfig"),
    "xlm": from_sizes("XLMWithLMHeadModel", "XLMConfig", vocab_size=99, emb_dim=64, n_layers=2, n_heads=4, causal=True,
                      max_position_embeddings=40),
    "granite moe": grouped("GraniteMoeForCausalLM", "GraniteMoeConfig", num_local_experts=4, **_EXPERTS),
    "rocbert that decodes": plain("RoCBertForCausalLM", "RoCBertConfig", is_decoder=True),
    "gpt-neox-japanese": plain("GPTNeoXJapaneseForCausalLM", "GPTNeoXJapaneseConfig", intermediate_multiple_size=2),
}  # fmt: skip
