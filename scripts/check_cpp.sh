#!/usr/bin/env bash
# clang-format and clang-tidy over the native library, with the versions that pyproject.toml pins.
#
#   scripts/check_cpp.sh VENV
set -euo pipefail

venv=$1
find_sources() {
  find "$@" \( -name '*.cc' -o -name '*.h' \) -print | sort
}
find_sources custom_ops/{bench,include,src,tests} | xargs "$venv/bin/clang-format" --dry-run --Werror

# clang-tidy needs to know how each file is compiled; the release build says so. Its compiler also checks the
# lock annotations, which gcc does not know.
"$venv/bin/python" custom_ops/build.py --variant release >/dev/null
find_sources custom_ops/src | grep '\.cc$' |
  xargs -n 1 -P "$(nproc)" "$venv/bin/clang-tidy" -p custom_ops/build/release --quiet \
    --extra-arg=-Wthread-safety --warnings-as-errors='*'
