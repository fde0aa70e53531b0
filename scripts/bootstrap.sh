#!/usr/bin/env bash
# Prepares a machine: system packages that are missing, then a virtual environment.
#
#   scripts/bootstrap.sh VENV [libfuzzer | chromium | aarch64 | benchmark]
#
# With "libfuzzer" also clang, whose libFuzzer drives the fuzz targets; they run without it, too. With "chromium" also
# that, for the tests of the report's page. With "aarch64" also a cross compiler, and qemu to run what it makes. With
# "benchmark" also Google Benchmark, for python -m benchmarks.native.
#
# Debian and Ubuntu, as root or with sudo. Elsewhere it says what to install, and stops only for what it
# cannot do without. ACTCACHE_PYTHON names the interpreter to use; otherwise the first Python >= 3.10.
set -euo pipefail

venv=$1
wanted=${2:-}
usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))'

fail() {
  echo "error: $*" >&2
  exit 1
}

find_python() {
  local name
  for name in ${ACTCACHE_PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python3.14 /usr/bin/python3}; do
    if "$name" -c "$usable" 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
}

has_compiler() {
  [ -n "${CXX:-}" ] || command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null
}

has_header() {
  printf '#include <%s>\n' "$1" | "${CXX:-c++}" -x c++ -fsyntax-only - 2>/dev/null
}

# custom_ops/build.py looks in the same places, and takes the same variables.
has_xxhash() {
  [ -n "${ACTCACHE_XXHASH_INCLUDE:-}" ] || has_header xxhash.h
}

has_blake3() {
  [ -n "${ACTCACHE_BLAKE3_SOURCE:-}" ] || compgen -G '/usr/share/cargo/registry/blake3-*/c/blake3.c' >/dev/null ||
    compgen -G '/usr/lib/*/libblake3.a' >/dev/null
}

# Debian 12 has BLAKE3's C sources in the Rust package; later releases have the C library.
blake3_package() {
  local name
  for name in libblake3-dev librust-blake3-dev; do
    if [ -n "$(apt-cache show "$name" 2>/dev/null)" ]; then
      echo "$name"
      return
    fi
  done
}

# Whose package SQLite's source comes out of (custom_ops/sources.py).
has_npm() {
  [ -n "${ACTCACHE_SQLITE_SOURCE:-}" ] || command -v npm >/dev/null
}

# The server that tests of remote stores start. They are skipped without one.
has_server() {
  command -v valkey-server >/dev/null || command -v redis-server >/dev/null
}

has_libfuzzer() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null
}

# Newer releases have the sanitizers' runtime in a package of its own, which carries clang's version.
libfuzzer_packages() {
  local runtime
  echo clang
  runtime=libclang-rt-$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')-dev
  [ -z "$(apt-cache show "$runtime" 2>/dev/null)" ] || echo "$runtime"
}

has_chromium() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null
}

has_aarch64() {
  command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null
}

# Prints the packages for what is missing, one word each.
missing_packages() {
  has_compiler || echo g++ libc6-dev
  [ -n "$(find_python)" ] || echo python3 python3-venv
  has_xxhash || echo libxxhash-dev
  has_header gtest/gtest.h || echo libgtest-dev
  has_blake3 || blake3_package
  has_npm || echo npm
  has_header openssl/ssl.h || echo libssl-dev # remote stores have no TLS without it
  has_server || echo redis-server
  [ "$wanted" != libfuzzer ] || has_libfuzzer || libfuzzer_packages
  [ "$wanted" != chromium ] || has_chromium || echo chromium
  [ "$wanted" != benchmark ] || has_header benchmark/benchmark.h || echo libbenchmark-dev
  [ "$wanted" != aarch64 ] || has_aarch64 || echo g++-aarch64-linux-gnu qemu-user
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

install_packages() {
  command -v apt-get >/dev/null || return 0
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || return 0
  local log packages
  log=$(mktemp)
  echo "installing missing system packages" >&2
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq >"$log" 2>&1 || tail -n 3 "$log" >&2
  packages=$(missing_packages) # only now does apt know which package has BLAKE3
  # shellcheck disable=SC2086 # one word each
  as_root apt-get install -y -qq --no-install-recommends $packages >"$log" 2>&1 || tail -n 3 "$log" >&2
  rm -f "$log"
}

if [ -n "$(missing_packages)" ] || ! has_blake3; then
  install_packages
fi
has_xxhash && has_blake3 || echo "xxHash or BLAKE3 is missing; the build says how to install it" >&2
has_compiler || fail "no C++ compiler; install one with 'sudo apt-get install g++' or name it in CXX"
python=$(find_python)
[ -n "$python" ] || fail "no Python >= 3.10 with venv; install 'python3-venv' or name one in ACTCACHE_PYTHON"

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
  echo "creating $venv with $("$python" --version) ($python)" >&2
  "$python" -m venv --clear "$venv"
fi
