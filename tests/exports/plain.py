"""Models written in plain PyTorch: what the layers of torch.nn export to, outside of transformers."""

# mypy: allow-subclassing-any
from __future__ import annotations

import torch
from torch import nn

from tests.exports.subject import OTHER_ROWS, ROWS, TOKENS, Architecture, Given, Rows, Subject, Wrapped, batch, picture


class UNet(nn.Module):
    """Down and up again, with group normalisation and a connection across."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU())
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.GroupNorm(4, 32), nn.SiLU())
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.last = nn.Conv2d(32, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        across = self.first(x)
        up = self.up(self.down(across))
        big = nn.functional.interpolate(up, scale_factor=2.0, mode="bilinear", align_corners=False)
        small = nn.functional.avg_pool2d(big, 2)
        return self.last(torch.cat([across, small], 1))


class Recurrent(nn.Module):
    """LSTM or GRU, both ways, over a sequence; its last states come out too, on axis 1."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.layers = kind(24, 32, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 7)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found, state = self.layers(x)
        return self.head(found), state[0] if isinstance(state, tuple) else state


class Streaming(nn.Module):
    """A recurrent model whose state goes in and out, [layers, N, H]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.GRU(24, 32, num_layers=2, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found, after = self.layers(x, state)
        return torch.sigmoid(self.head(found[:, -1])), after


class TwoTowers(nn.Module):
    """A recommender: users against candidate items, each through a tower of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(50, 64), nn.Embedding(70, 64)
        self.user_tower = nn.Sequential(nn.Linear(64 + 8, 256), nn.ReLU(), nn.Linear(256, 32), nn.LayerNorm(32))
        self.item_tower = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 32), nn.LayerNorm(32))

    def forward(self, user: torch.Tensor, features: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        tags = self.items(items).mean(1)
        left = self.user_tower(torch.cat([self.users(user), features], 1))
        return nn.functional.normalize(left, dim=-1) @ nn.functional.normalize(self.item_tower(tags), dim=-1).T


class Transformer(nn.Module):
    """torch.nn's own encoder layer, with a padding mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(99, 64)
        layer = nn.TransformerEncoderLayer(64, 4, 96, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        padded = ids == 0
        found = self.layers(self.embed(ids), src_key_padding_mask=padded)
        kept = (~padded).unsqueeze(-1).to(found.dtype)
        return (found * kept).sum(1) / kept.sum(1).clamp(min=1.0)


def positional(module: nn.Module) -> Wrapped:
    return Wrapped(module.eval(), lambda inner, *arguments: inner(*arguments))


def unet(attention: str) -> Subject:
    return Subject(positional(UNet()), {"x": picture(32)}, ("y",), batch(("y",)))


def recurrent(kind: type[nn.Module]) -> Subject:
    inputs = {"x": Given(torch.randn(ROWS, TOKENS, 24), {0: "batch", 1: "time"})}
    return Subject(positional(Recurrent(kind)), inputs, ("y", "state"), batch({"y": 0, "state": 1}))


def streaming(attention: str) -> Subject:
    inputs = {
        "x": Given(torch.randn(ROWS, TOKENS, 24), {0: "batch", 1: "time"}),
        "state": Given(torch.randn(2, ROWS, 32), {1: "batch"}),
    }
    return Subject(positional(Streaming()), inputs, ("y", "after"), batch({"y": 0, "after": 1}))


def two_towers(attention: str) -> Subject:
    inputs = {
        "user": Given(torch.randint(0, 50, (ROWS,)), {0: "users"}),
        "features": Given(torch.randn(ROWS, 8), {0: "users"}),
        "items": Given(torch.randint(0, 70, (OTHER_ROWS, 6)), {0: "items"}),
    }
    rows = (Rows("users", {"scores": 0}), Rows("items", {"scores": 1}))
    return Subject(positional(TwoTowers()), inputs, ("scores",), rows, regions=2)


def transformer(attention: str) -> Subject:
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator, which no exporter knows
    ids = torch.randint(1, 99, (ROWS, TOKENS))
    ids[1, 5:] = 0
    inputs = {"ids": Given(ids, {0: "batch", 1: "tokens"})}
    return Subject(positional(Transformer()), inputs, ("y",), batch(("y",)))


PLAIN = {
    "unet": Architecture(unet, forms=True),
    "lstm": Architecture(lambda _: recurrent(nn.LSTM), forms=True),
    "gru": Architecture(lambda _: recurrent(nn.GRU)),
    "gru-streaming": Architecture(streaming),
    "two-towers": Architecture(two_towers, forms=True),
    "nn-transformer": Architecture(transformer),
}
