// XXH3's codes give the same digests.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "hash/xxh3_code.h"

namespace actcache {
namespace {

using Digest = std::pair<std::uint64_t, std::uint64_t>;

struct alignas(kXxh3StateAlignment) State {
  unsigned char bytes[kXxh3StateBytes];
};

std::vector<unsigned char> RandomBytes(std::size_t count) {
  std::mt19937_64 random(count);
  std::vector<unsigned char> bytes(count);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random());
  return bytes;
}

// The first `cut` bytes by one code, the rest by another.
[[maybe_unused]] Digest Hash(const Xxh3Code& first, const Xxh3Code& second,
                             const std::vector<unsigned char>& data, std::size_t cut) {
  static const std::vector<unsigned char> secret = RandomBytes(192);
  State state;
  first.reset(&state, secret.data(), secret.size());
  first.update(&state, data.data(), cut);
  second.update(&state, data.data() + cut, data.size() - cut);
  std::uint64_t digest[2];
  second.finish(&state, digest);
  return {digest[0], digest[1]};
}

TEST(Xxh3Code, EveryInstructionSetGivesTheSameDigests) {
#if defined(ACTCACHE_XXH3_AVX2)
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "this processor has no AVX2";
  const Xxh3Code& baseline = actcache_xxh3_baseline;
  const Xxh3Code& avx2 = actcache_xxh3_avx2;
  for (std::size_t bytes = 0; bytes < 100000; bytes += 1 + bytes / 7) {
    const std::vector<unsigned char> data = RandomBytes(bytes);
    const Digest expected = Hash(baseline, baseline, data, 0);
    EXPECT_EQ(Hash(avx2, avx2, data, 0), expected) << bytes;
    EXPECT_EQ(Hash(avx2, avx2, data, bytes / 3), expected) << bytes;
    EXPECT_EQ(Hash(baseline, avx2, data, bytes / 2), expected) << bytes;
  }
#else
  GTEST_SKIP() << "there is one code for this architecture";
#endif
}

}  // namespace
}  // namespace actcache
