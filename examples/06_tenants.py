"""Tenants that must not see each other's results, and calls that say how they want to be answered."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from small_models import text_encoder

import actcache


def main() -> None:
    """Two tenants ask the same; then one of them asks for a fresh answer, and is forgotten."""
    actcache.configure(bypass="off", namespace_quota_bytes="50%")  # nobody pushes out what the others have
    ids = np.arange(1, 33).reshape(2, 16)
    with tempfile.TemporaryDirectory() as folder:
        compiled = actcache.compile_model(
            text_encoder(Path(folder) / "encoder.onnx"),
            samples=[{"ids": ids}],
            min_saving=0,
            namespace_input="tenant",
            control_input="control",
            account_output="account",
        )
        session = actcache.InferenceSession(compiled.output)

        def ask(tenant: str, control: str = "use") -> None:
            feed = {"ids": ids, "tenant": np.array(tenant), "control": np.array(control)}
            hits, misses, bypassed = session.run(["account"], feed)[0][0]
            print(f"{tenant}, {control}: {hits} found, {misses} computed, {bypassed} without the cache")

        ask("blue")
        ask("blue")
        ask("green")
        ask("blue", "refresh")
        ask("blue", "bypass")
        print("forgotten:", actcache.invalidate("blue"))
        ask("blue")


if __name__ == "__main__":
    main()
