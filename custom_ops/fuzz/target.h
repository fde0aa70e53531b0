// What a fuzz target is: a function that takes any bytes and aborts if a promise is broken, and the
// inputs to start from. One target per file, each an executable, which either libFuzzer drives
// (clang) or standalone.cc (any compiler); both take the same command line.
#ifndef ACTCACHE_FUZZ_TARGET_H_
#define ACTCACHE_FUZZ_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace actcache::fuzz {

using Input = std::vector<std::uint8_t>;

// Few, small, and each reaching something that random bytes do not find soon.
std::vector<Input> Seeds();

// Unlike assert(), also in a release build.
#define ACTCACHE_FUZZ_CHECK(condition)                                                    \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

}  // namespace actcache::fuzz

#endif  // ACTCACHE_FUZZ_TARGET_H_
