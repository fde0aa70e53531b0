"""Mamba of transformers. Its loop over the positions is written as a scan here, which PyTorch exports to ``Scan``.

Exported as it is, the loop is unrolled for the number of positions of the example.
"""

from __future__ import annotations

from unittest import mock

import torch
import transformers as hf
from torch._higher_order_ops.scan import scan
from transformers.models.mamba import modeling_mamba

from tests.exports.subject import Subject, Wrapped, batch, tokens


def selective_scan(
    values: torch.Tensor,
    rate: torch.Tensor,
    decay: torch.Tensor,
    taken: torch.Tensor,
    read: torch.Tensor,
    *,
    z: torch.Tensor,
    delta_bias: torch.Tensor,
    **given: torch.Tensor,
) -> torch.Tensor:
    """What ``mamba_selective_scan`` of transformers computes; sequences are [batch, values, positions]."""
    rate = torch.nn.functional.softplus(rate + delta_bias[..., None])

    def step(was: torch.Tensor, at: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        x, now, into, out = at
        state = was * torch.exp(now[..., None] * decay) + (now * x)[..., None] * into[:, None]
        return state, (state * out[:, None]).sum(-1)

    begin = values.new_zeros(*values.shape[:2], decay.shape[-1])
    _, found = scan(step, begin, tuple(each.permute(2, 0, 1) for each in (values, rate, taken, read)), dim=0)
    skipped = values * given["D"][None, :, None]
    return (found.permute(1, 2, 0) + skipped) * torch.nn.functional.silu(z)


def mamba(*, hidden_size: int = 32, vocab_size: int = 99, state_size: int = 8) -> Subject:
    """A language model of two layers that reads whole texts."""
    sizes = {"hidden_size": hidden_size, "vocab_size": vocab_size, "state_size": state_size}
    made = hf.MambaForCausalLM(hf.MambaConfig(num_hidden_layers=2, use_cache=False, **sizes)).eval()

    def call(inner: torch.nn.Module, ids: torch.Tensor) -> object:
        with mock.patch.object(modeling_mamba, "mamba_selective_scan", selective_scan):
            return inner(input_ids=ids, use_cache=False).logits

    return Subject(Wrapped(made, call), {"input_ids": tokens(vocab_size)}, ("logits",), batch(("logits",)))
