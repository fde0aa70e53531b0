"""A user against candidates: the tower that reads the user alone is computed once for each user, not once a request."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from small_models import WIDTH, two_towers

import actcache


def main() -> None:
    """Ranks new candidates for users who come back."""
    actcache.configure(bypass="off")  # so small a model may not be worth it on every machine
    random = np.random.default_rng(0)
    users = random.standard_normal((5, 1, WIDTH)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        model = two_towers(Path(folder) / "towers.onnx")
        sample = {"user": users[0], "items": np.ones((100, 16), np.float32)}
        user_tower = actcache.RegionSpec("user", frontier=("user",), live_outs=("u",))  # or leave it to the compiler
        compiled = actcache.compile_model(model, samples=[sample], regions=[user_tower])
        session = actcache.InferenceSession(compiled.output)
        for request in range(30):
            items = random.standard_normal((100, 16)).astype(np.float32)  # never the same candidates
            session.run(None, {"user": users[request % len(users)], "items": items})
    print(f"users computed in 30 requests: {actcache.stats()['regions']['user']['misses']}")


if __name__ == "__main__":
    main()
