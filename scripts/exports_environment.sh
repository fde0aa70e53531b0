#!/usr/bin/env bash
# Makes the environment that exports models from PyTorch on the spot: a CPU torch, transformers, and what actcache needs.
#
#   scripts/exports_environment.sh PYTHON VENV
#
# No torchvision and no timm: they replace a CPU torch by a CUDA build. actcache itself is read from the source tree.
set -euo pipefail

python=$1
venv=$2

"$python" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install torch==2.13.0
needed=$("$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")')
readarray -t needed <<<"$needed"
"${pip[@]}" install transformers onnxscript scipy pytest "${needed[@]}"

if ! "$venv/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda is not None)'; then
  echo "error: torch in $venv is a CUDA build; a CPU wheel of torch 2.13.0 is needed" >&2
  exit 1
fi
