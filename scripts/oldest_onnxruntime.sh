#!/usr/bin/env bash
# Makes an environment with the oldest onnxruntime that is supported, and nothing else of ours.
#
#   scripts/oldest_onnxruntime.sh PYTHON VENV
#
# Its wheels end at Python 3.12. Where there is no such Python, the oldest that there is for 3.13 takes its place.
set -euo pipefail

usable() {
  "$1" -c "import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $2))" 2>/dev/null
}

make_environment() {
  local python=$1 venv=$2
  shift 2
  "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip --disable-pip-version-check --quiet install "$@"
}

for python in "$1" python3.12 python3.11 python3.10 /usr/bin/python3; do
  if usable "$python" 12; then
    make_environment "$python" "$2" 'onnxruntime==1.18.1' 'numpy<2'
    exit
  fi
done
for python in "$1" python3.13; do
  if usable "$python" 13; then
    echo "no Python from 3.10 to 3.12: testing with onnxruntime 1.20 instead of 1.18" >&2
    make_environment "$python" "$2" 'onnxruntime==1.20.*'
    exit
  fi
done
echo "no Python from 3.10 to 3.13: the test under an old onnxruntime is skipped" >&2
rm -rf "$2"
mkdir "$2"
