#!/usr/bin/env bash
# Usage: scripts/check_wheel.sh PYTHON WHEEL
#
# Installs a wheel into an empty environment in which there is no compiler, compiles a small model with it and runs that.
set -euo pipefail

python=$1
wheel=$(realpath "$2")
folder=$(mktemp -d)
rm=$(command -v rm)
trap '"$rm" -rf "$folder"' EXIT

"$python" -m venv "$folder/env"
cd "$folder"
# What is not on a PATH of this environment's own is not found: neither compilers nor cmake.
export PATH="$folder/env/bin" CC=/nonexistent CXX=/nonexistent
pip install --quiet --disable-pip-version-check --only-binary :all: "$wheel"

python - <<'EOF'
import numpy as np
import onnx.parser

import actcache

text = """<ir_version: 8, opset_import: ["" : 17]>
chain (float[N, 64] x, float[64, 64] w) => (float[N, 64] y) { h = MatMul(x, w) t = Tanh(h) y = MatMul(t, w) }"""
model = onnx.parser.parse_model(text)
weight = onnx.numpy_helper.from_array(np.eye(64, dtype=np.float32), "w")
del model.graph.input[1]
model.graph.initializer.append(weight)
onnx.save(model, "chain.onnx")
actcache.compile_model("chain.onnx", min_saving=0)
session = actcache.InferenceSession("chain.cached.onnx")
x = np.ones((4, 64), np.float32)
for _ in range(2):
    assert np.allclose(session.run(None, {"x": x})[0], np.tanh(x))
(region,) = actcache.stats()["regions"].values()
assert region["hits"] == 7, region
print("the wheel works:", actcache.library_path())
EOF
actcache run -- python -c "import onnxruntime; print(onnxruntime.InferenceSession._actcache_learns)"
