"""Synthetic pictures, text lines, files and voices for `models.feeds`: numpy only, from a generator.

Pictures are uint8 [height, width, 3] as a decoder returns them: quantised, smooth at large scale.
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rng = np.random.Generator


def _stretch(length: int, knots: int) -> Array:
    """Linear interpolation from `knots` values to `length`, as a matrix [length, knots]."""
    position = np.linspace(0, knots - 1, length)
    weights: Array = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(knots)))
    return weights


def photograph(rng: Rng, height: int, width: int) -> Array:
    """Soft patches of colour at two scales, and a little sensor noise."""
    picture = np.zeros((height, width, 3))
    for knots, share in ((6, 0.7), (28, 0.3)):
        patches = rng.uniform(0, 255, (knots, knots, 3))
        rows, columns = _stretch(height, knots), _stretch(width, knots)
        picture += share * np.einsum("hi,ijc,wj->hwc", rows, patches, columns, optimize=True)
    picture += rng.normal(0, 3, picture.shape)
    pixels: Array = np.clip(picture.round(), 0, 255).astype(np.uint8)
    return pixels


def line_of_text(rng: Rng, height: int, width: int) -> Array:
    """Dark glyphs of random 5 x 7 dots on white paper, from the left, in most of the width."""
    dot = max(1, height // 9)
    glyph_width = 6 * dot
    count = int(rng.integers(1, max(2, width // glyph_width + 1)))
    line = np.full((height, width, 3), 255, np.uint8)
    for index in range(count):
        dots = np.kron(rng.random((7, 5)) < 0.5, np.ones((dot, dot), bool))
        left = index * glyph_width
        dots = dots[:, : max(0, width - left)]
        line[dot : dot + dots.shape[0], left : left + dots.shape[1]][dots] = 30
    return line


def page_of_text(rng: Rng, height: int, width: int) -> Array:
    """White paper with lines of such glyphs."""
    page = np.full((height, width, 3), 255, np.uint8)
    for top in range(8, height - 24, 40):
        page[top : top + 24] = line_of_text(rng, 24, width)
    return page


def source_code(rng: Rng) -> bytes:
    """200 to 5,000 bytes of ASCII that looks like a program: names, operators, lines, indents."""
    letters = list(string.ascii_lowercase)
    lines = ["import os"]
    wanted = int(rng.integers(200, 5000))
    while sum(map(len, lines)) < wanted:
        names = ["".join(rng.choice(letters, int(rng.integers(2, 9)))) for _ in range(3)]
        lines.append(" " * 4 * int(rng.integers(0, 3)) + f"{names[0]} = {names[1]}({names[2]})")
    return "\n".join(lines).encode()[:wanted]


def voice(rng: Rng, samples: int) -> Array:
    """A vowel of 80 to 250 Hz sampled at 16 kHz, float32 [samples] in [-1, 1]: harmonics that fall
    off, and breath.
    """
    time = np.arange(samples) / 16000
    pitch, phase = rng.uniform(80, 250), rng.uniform(0, 2 * np.pi)
    sound = sum(np.sin(2 * np.pi * pitch * k * time + k * phase) / k for k in range(1, 12))
    sound = 0.2 * sound + rng.normal(0, 0.01, samples)
    return np.clip(sound, -1, 1).astype(np.float32)
