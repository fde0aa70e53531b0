"""Pages and codes that the programs read: drawn with Pillow's own font, the same at every run."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CITIES = "Oslo Lima Cairo Delhi Quito Paris Milan Tokyo Dakar Perth".split()
_STATES = "boarding departed delayed cancelled".split()


def page(number: int) -> Image.Image:
    """Return a page of a timetable: words repeat, numbers do not."""
    draws = random.Random(number)
    picture = Image.new("RGB", (640, 360), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for line in range(8):
        cells = [draws.choice(_CITIES), f"{draws.randrange(24):02}:{draws.randrange(60):02}", draws.choice(_STATES)]
        for column, cell in enumerate(cells):
            pen.text((20 + 200 * column, 14 + 42 * line), cell, fill="black", font=font)
    return picture


def code(number: int) -> Image.Image:
    """Return a picture of four characters with some noise."""
    draws = random.Random(number)
    picture = Image.new("RGB", (120, 48), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(30)
    for place in range(4):
        pen.text((8 + 27 * place, 4 + draws.randrange(8)), draws.choice("2345678ABCDEFHK"), fill="navy", font=font)
    for _ in range(60):
        pen.point((draws.randrange(120), draws.randrange(48)), fill="gray")
    return picture


def photo(number: int) -> np.ndarray:
    """Return a picture that is smooth noise, as the model takes it: ``[1, 224, 224, 3]``."""
    random_numbers = np.random.default_rng(number)
    small = Image.fromarray(random_numbers.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return np.asarray(small.resize((224, 224)), np.float32)[None]
