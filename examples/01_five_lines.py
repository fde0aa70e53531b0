import numpy as np

import actcache

compiled = actcache.compile_model("encoder.onnx", samples=["sample.npz"])
session = actcache.InferenceSession(compiled.output)
print(session.run(None, dict(np.load("sample.npz"))), actcache.stats()["regions"].keys())
