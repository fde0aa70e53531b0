"""Models of pictures, and of pictures beside texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import transformers as hf

from tests.exports.subject import OTHER_ROWS, Architecture, Given, Rows, Subject, Wrapped, batch, mask, picture, tokens

#: Sizes of the two towers of CLIP and its like: as costly as each other.
TOWER = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
MANY_OPSETS = {"dynamo": (20, 18, 23), "torchscript": (17, 14, 20)}


def pictures(
    model: Callable[[str], torch.nn.Module], attention: str, *, outputs: tuple[str, ...], size: int = 32
) -> Subject:
    """A model of pictures; `outputs` names attributes of what it returns."""

    def call(inner: torch.nn.Module, pixels: torch.Tensor) -> object:
        found = inner(pixel_values=pixels)
        return tuple(getattr(found, name) for name in outputs)

    return Subject(Wrapped(model(attention).eval(), call), {"pixel_values": picture(size)}, outputs, batch(outputs))


def vit(attention: str) -> torch.nn.Module:
    config = hf.ViTConfig(image_size=32, patch_size=8, num_labels=5, attn_implementation=attention, **TOWER)
    return hf.ViTForImageClassification(config)


def deit(attention: str) -> torch.nn.Module:
    config = hf.DeiTConfig(image_size=32, patch_size=8, num_labels=5, attn_implementation=attention, **TOWER)
    return hf.DeiTForImageClassification(config)


def swin(attention: str) -> torch.nn.Module:
    config = hf.SwinConfig(
        image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4, num_labels=5
    )
    return hf.SwinForImageClassification(config)


def convnext(attention: str) -> torch.nn.Module:
    config = hf.ConvNextConfig(hidden_sizes=[16, 32], depths=[1, 2], num_stages=2, num_labels=5)
    return hf.ConvNextForImageClassification(config)


def resnet(attention: str) -> torch.nn.Module:
    config = hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 2], num_labels=5)
    return hf.ResNetForImageClassification(config)


def mobilenet(attention: str) -> torch.nn.Module:
    config = hf.MobileNetV2Config(image_size=32, depth_multiplier=0.25, num_labels=5)
    return hf.MobileNetV2ForImageClassification(config)


def segformer(attention: str) -> torch.nn.Module:
    config = hf.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[16, 32],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=32,
        num_labels=5,
    )
    return hf.SegformerForSemanticSegmentation(config)


def clip_config(attention: str) -> hf.CLIPConfig:
    text = {"vocab_size": 99, "max_position_embeddings": 40, "eos_token_id": 98, **TOWER}
    vision = {"image_size": 32, "patch_size": 8, **TOWER}
    return hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=32, attn_implementation=attention)


def siglip_config(attention: str) -> hf.SiglipConfig:
    text = {"vocab_size": 99, "max_position_embeddings": 40, "projection_size": 64, **TOWER}
    vision = {"image_size": 32, "patch_size": 8, **TOWER}
    return hf.SiglipConfig(text_config=text, vision_config=vision, attn_implementation=attention)


def two_batches(model: Callable[[str], torch.nn.Module], attention: str, *, masked: bool = True) -> Subject:
    """Pictures against texts, as many as there are of each."""

    def call(
        inner: torch.nn.Module, ids: torch.Tensor, pixels: torch.Tensor, attended: torch.Tensor | None = None
    ) -> object:
        found = inner(input_ids=ids, pixel_values=pixels, attention_mask=attended)
        return found.logits_per_image, found.logits_per_text, found.text_embeds, found.image_embeds

    inputs = {"input_ids": _texts(), "pixel_values": picture(symbol="images")}
    if masked:
        inputs["attention_mask"] = mask(rows=OTHER_ROWS, symbol="texts")
    rows = (
        Rows("images", {"logits_per_image": 0, "logits_per_text": 1, "image_embeds": 0}),
        Rows("texts", {"logits_per_image": 1, "logits_per_text": 0, "text_embeds": 0}),
    )
    outputs = ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds")
    return Subject(Wrapped(model(attention).eval(), call), inputs, outputs, rows, regions=2)


def _texts(symbol: str = "texts", rows: int = OTHER_ROWS) -> Given:
    """Ids that end with the end-of-text token, at different places."""
    given = tokens(98, rows=rows, symbol=symbol)
    for row in range(rows):
        given.value[row, -1 - row % 3] = 98
    return given


def clip_text(attention: str) -> Subject:
    """The text tower of CLIP, pooled at the end-of-text token."""
    config = clip_config(attention)
    config.text_config._attn_implementation = attention
    made = hf.CLIPTextModelWithProjection(config.text_config).eval()

    def call(inner: torch.nn.Module, ids: torch.Tensor, attended: torch.Tensor) -> object:
        found = inner(input_ids=ids, attention_mask=attended)
        return found.text_embeds, found.last_hidden_state

    outputs = ("text_embeds", "last_hidden_state")
    inputs = {"input_ids": _texts("batch"), "attention_mask": mask(rows=OTHER_ROWS)}
    return Subject(Wrapped(made, call), inputs, outputs, batch(outputs))


def clip_vision(attention: str) -> torch.nn.Module:
    return hf.CLIPVisionModelWithProjection(clip_config(attention).vision_config)


LOGITS = ("logits",)
VISION = {
    "vit": Architecture(
        partial(pictures, vit, outputs=LOGITS), ("sdpa", "eager"), MANY_OPSETS, optimiser="vit", forms=True
    ),
    "deit": Architecture(partial(pictures, deit, outputs=LOGITS)),
    "swin": Architecture(partial(pictures, swin, outputs=LOGITS)),
    "convnext": Architecture(partial(pictures, convnext, outputs=LOGITS), forms=True),
    "resnet": Architecture(partial(pictures, resnet, outputs=LOGITS), forms=True),
    "mobilenet-v2": Architecture(partial(pictures, mobilenet, outputs=LOGITS)),
    "segformer": Architecture(partial(pictures, segformer, outputs=LOGITS, size=64)),
    "clip": Architecture(
        partial(two_batches, lambda attention: hf.CLIPModel(clip_config(attention))),
        ("sdpa", "eager"),
        MANY_OPSETS,
        forms=True,
    ),
    "clip-text": Architecture(clip_text, ("sdpa", "eager"), optimiser="clip", forms=True),
    "clip-vision": Architecture(
        partial(pictures, clip_vision, outputs=("image_embeds", "last_hidden_state")), optimiser="clip", forms=True
    ),
    "siglip": Architecture(
        partial(two_batches, lambda attention: hf.SiglipModel(siglip_config(attention)), masked=False)
    ),
}
