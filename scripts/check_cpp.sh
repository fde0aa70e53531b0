#!/usr/bin/env bash
# clang-format and clang-tidy over the native library, with the versions that pyproject.toml pins.
#
#   scripts/check_cpp.sh VENV
set -euo pipefail

venv=$1
find_sources() {
  find "$@" \( -name '*.cc' -o -name '*.h' \) -print | sort
}
find_sources custom_ops/{bench,fuzz,include,src,tests} | xargs "$venv/bin/clang-format" --dry-run --Werror

# clang-tidy needs to know how each file is compiled; the release build says so. Its compiler also checks the
# lock annotations, which gcc does not know. Without --config-file clang-tidy would not report what it finds in headers.
"$venv/bin/python" custom_ops/build.py --variant release >/dev/null
tidy() {
  xargs -n 1 -P "$(nproc)" "$venv/bin/clang-tidy" -p custom_ops/build/release --config-file=.clang-tidy --quiet \
    --extra-arg=-Wthread-safety --extra-arg=-Wthread-safety-beta --warnings-as-errors='*'
}
find_sources custom_ops/src | grep '\.cc$' | tidy

# A check that is switched off finds nothing either: this access without the lock has to be found.
probe=$(mktemp --directory)
trap 'rm -rf "$probe"' EXIT
cat >"$probe/unlocked.cc" <<CC
#include "$PWD/custom_ops/src/base/mutex.h"
class Unlocked {
 public:
  int Read() const { return value_; }

 private:
  actcache::Mutex mutex_;
  int value_ ACTCACHE_GUARDED_BY(mutex_) = 0;
};
CC
if ! { echo "$probe/unlocked.cc" | tidy 2>&1 || true; } | grep -q 'clang-diagnostic-thread-safety-analysis'; then
  echo "scripts/check_cpp.sh: clang-tidy does not see an access without its lock" >&2
  exit 1
fi
