#!/usr/bin/env bash
# clang-format and clang-tidy over the native library, with the versions that pyproject.toml pins.
#
#   scripts/check_cpp.sh VENV
set -euo pipefail

venv=$1
find_sources() {
  find "$@" \( -name '*.cc' -o -name '*.h' \) -print | sort
}
find_sources custom_ops/{bench,fuzz,include,src,tests} examples | xargs "$venv/bin/clang-format" --dry-run --Werror

# clang-tidy needs to know how each file is compiled. The build for the address sanitizer says so, as it compiles many
# files as one: what they all include is then looked at once. Names of one file may then hide those of another, which
# means nothing; within a file gcc finds that. clang also checks the lock annotations, which gcc does not know. Without
# --config-file clang-tidy would not report what it finds in the files that are included.
build=custom_ops/build/asan
"$venv/bin/python" custom_ops/build.py --variant asan >/dev/null
tidy() {
  xargs -n 1 -P "$(nproc)" "$venv/bin/clang-tidy" -p "$build" --config-file=.clang-tidy --quiet \
    --checks=-bugprone-suspicious-include --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-shadow \
    --extra-arg=-Wthread-safety --extra-arg=-Wthread-safety-beta --warnings-as-errors='*'
}
find "$build"/CMakeFiles/{actcache_core,libactcache}.dir -name 'unity_*.cxx' | sort | tidy

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
