"""All samples of row rules and all traps."""

from __future__ import annotations

import rows_mixing_traps
import rows_samples_contrib
import rows_samples_elementwise
import rows_samples_layers
import rows_samples_ml
import rows_samples_refused
import rows_samples_shape
import rows_samples_tokens
import rows_samples_versions
import rows_traps
import rows_traps_layers
import rows_traps_positions
from rows_support import Sample

SAMPLES: list[Sample] = [
    *rows_samples_elementwise.SAMPLES,
    *rows_samples_shape.SAMPLES,
    *rows_samples_layers.SAMPLES,
    *rows_samples_ml.SAMPLES,
    *rows_samples_contrib.SAMPLES,
    *rows_samples_tokens.SAMPLES,
    *rows_samples_refused.SAMPLES,
    *rows_samples_versions.SAMPLES,
]

TRAPS: dict[str, Sample] = (
    rows_mixing_traps.TRAPS | rows_traps.TRAPS | rows_traps_layers.TRAPS | rows_traps_positions.TRAPS
)
