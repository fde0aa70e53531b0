#include "hash/hasher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

extern "C" {
#include "blake3.h"
}
#include "hash/secret.h"
#include "hash/xxh3_code.h"

namespace actcache {
namespace {

std::string Pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i % 251);
  return bytes;
}

Key KeyOf(HashKind kind, const std::vector<std::string>& frames) {
  Hasher hasher(kind);
  for (const std::string& frame : frames) hasher.Frame(frame.data(), frame.size());
  return hasher.Finish();
}

std::pair<std::uint64_t, std::uint64_t> Words(const Key& key) {
  return {key.words[0], key.words[1]};
}

class HasherTest : public testing::TestWithParam<HashKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, HasherTest, testing::Values(HashKind::kBlake3, HashKind::kXxh3),
                         [](const auto& kind) {
                           return kind.param == HashKind::kBlake3 ? "Blake3" : "Xxh3";
                         });

TEST_P(HasherTest, EqualPartsGiveEqualKeys) {
  EXPECT_EQ(KeyOf(GetParam(), {"ab", "c"}), KeyOf(GetParam(), {"ab", "c"}));
  EXPECT_EQ(Hasher(GetParam()).Finish(), Hasher(GetParam()).Finish());
}

TEST_P(HasherTest, FramingSeparatesParts) {
  const std::vector<std::vector<std::string>> distinct = {
      {},          {""},        {"", ""},    {"abc"},         {"ab", "c"},
      {"a", "bc"}, {"", "abc"}, {"abc", ""}, {"a", "b", "c"}, {std::string(8, '\0')}};
  std::set<std::pair<std::uint64_t, std::uint64_t>> keys;
  for (const auto& frames : distinct) keys.insert(Words(KeyOf(GetParam(), frames)));
  EXPECT_EQ(keys.size(), distinct.size());
}

TEST_P(HasherTest, EveryByteCounts) {
  std::string bytes = Pattern(5000);
  std::set<std::pair<std::uint64_t, std::uint64_t>> keys;
  keys.insert(Words(KeyOf(GetParam(), {bytes})));
  for (std::size_t i = 0; i < bytes.size(); i += 97) {
    bytes[i] ^= 1;
    EXPECT_TRUE(keys.insert(Words(KeyOf(GetParam(), {bytes}))).second) << i;
    bytes[i] ^= 1;
  }
}

TEST_P(HasherTest, StreamingEqualsOneShot) {
  for (const unsigned size :
       {0u, 1u, 63u, 64u, 65u, 255u, 257u, 1023u, 1024u, 1025u, 9000u, 300000u}) {
    const std::string bytes = Pattern(size);
    const Key whole = KeyOf(GetParam(), {bytes});
    for (const std::size_t piece : {std::size_t{13}, std::size_t{64}, std::size_t{4096}}) {
      Hasher hasher(GetParam());
      hasher.FrameHeader(size);
      for (std::size_t at = 0; at < size; at += piece) {
        hasher.Raw(bytes.data() + at, std::min(piece, bytes.size() - at));
      }
      EXPECT_EQ(hasher.Finish(), whole) << size << " in pieces of " << piece;
    }
  }
}

TEST_P(HasherTest, FinishDoesNotEndTheStream) {
  Hasher hasher(GetParam());
  hasher.Frame("a", 1);
  EXPECT_EQ(hasher.Finish(), KeyOf(GetParam(), {"a"}));
  hasher.Frame("b", 1);
  EXPECT_EQ(hasher.Finish(), KeyOf(GetParam(), {"a", "b"}));
}

TEST_P(HasherTest, CopiesShareAPrefixAndThenPart) {
  for (const unsigned size : {0u, 7u, 100u, 1000u, 1024u, 5000u, 70000u, 1u << 20}) {
    const std::string prefix = Pattern(size);
    Hasher shared(GetParam());
    shared.Frame(prefix.data(), prefix.size());
    Hasher a(shared);
    Hasher b(GetParam());
    b.Frame("to be overwritten", 17);
    b = shared;
    const Hasher& self = b;
    b = self;
    a.Frame("a", 1);
    b.Frame("b", 1);
    EXPECT_EQ(a.Finish(), KeyOf(GetParam(), {prefix, "a"})) << size;
    EXPECT_EQ(b.Finish(), KeyOf(GetParam(), {prefix, "b"})) << size;
    EXPECT_EQ(shared.Finish(), KeyOf(GetParam(), {prefix})) << size;
  }
}

TEST(Hasher, AssignmentMayChangeTheKind) {
  Hasher hasher(HashKind::kXxh3);
  hasher = Hasher(HashKind::kBlake3);
  hasher.Frame("a", 1);
  EXPECT_EQ(hasher.kind(), HashKind::kBlake3);
  EXPECT_EQ(hasher.Finish(), KeyOf(HashKind::kBlake3, {"a"}));
}

TEST(Hasher, KindsGiveDifferentKeys) {
  EXPECT_NE(KeyOf(HashKind::kBlake3, {"a"}), KeyOf(HashKind::kXxh3, {"a"}));
}

TEST(Hasher, ThreadsAgree) {
  Key keys[4];
  std::vector<std::thread> threads;
  for (Key& key : keys) {
    threads.emplace_back([&key] { key = KeyOf(HashKind::kBlake3, {Pattern(3000)}); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Key& key : keys) EXPECT_EQ(key, keys[0]);
}

// The stream is: kind, then per frame the length (8 bytes, little-endian) and the bytes.
TEST(Hasher, IsKeyedBlake3OfTheFrames) {
  std::string stream = "\x01";
  stream += std::string("\x02\0\0\0\0\0\0\0ab", 10);
  stream += std::string("\x2C\x01\0\0\0\0\0\0", 8) + Pattern(300);
  blake3_hasher blake3;
  blake3_hasher_init_keyed(&blake3, ProcessSecret().blake3);
  blake3_hasher_update(&blake3, stream.data(), stream.size());
  struct {
    Key key;
    KeyTail tail;
  } expected;
  blake3_hasher_finalize(&blake3, reinterpret_cast<std::uint8_t*>(&expected), BLAKE3_OUT_LEN);
  EXPECT_EQ(KeyOf(HashKind::kBlake3, {"ab", Pattern(300)}), expected.key);
  Hasher hasher(HashKind::kBlake3);
  hasher.Frame("ab", 2);
  hasher.Frame(Pattern(300).data(), 300);
  KeyTail tail;
  EXPECT_EQ(hasher.Finish(&tail), expected.key);
  EXPECT_EQ(tail, expected.tail);
}

// And XXH3 of the same stream with the process's secret.
TEST(Hasher, IsKeyedXxh3OfTheFrames) {
  struct alignas(kXxh3StateAlignment) State {
    unsigned char bytes[kXxh3StateBytes];
  };
  const std::string bytes = Pattern(300);
  const std::string stream = "\x02" + std::string("\x2C\x01\0\0\0\0\0\0", 8) + bytes;
  State state;
  actcache_xxh3_baseline.reset(&state, ProcessSecret().xxh3, sizeof(ProcessSecret().xxh3));
  actcache_xxh3_baseline.update(&state, stream.data(), stream.size());
  Key expected;
  actcache_xxh3_baseline.finish(&state, expected.words);
  EXPECT_EQ(KeyOf(HashKind::kXxh3, {bytes}), expected);
}

// keyed_hash of the official test vectors: test_vectors.json of the BLAKE3 repository.
TEST(Blake3, OfficialKeyedVectors) {
  const std::vector<std::pair<std::size_t, std::string>> vectors = {
      {0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"},
      {1, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"},
      {1023, "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e"},
      {1024, "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"},
      {1025, "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69"},
      {8193, "954a2a75420c8d6547e3ba5b98d963e6fa6491addc8c023189cc519821b4a1f5"},
      {102400, "1c35d1a5811083fd7119f5d5d1ba027b4d01c0c6c49fb6ff2cf75393ea5db4a7"}};
  const std::string key = "whats the Elvish word for friend";
  for (const auto& [size, expected] : vectors) {
    const std::string input = Pattern(size);
    blake3_hasher hasher;
    blake3_hasher_init_keyed(&hasher, reinterpret_cast<const std::uint8_t*>(key.data()));
    blake3_hasher_update(&hasher, input.data(), input.size());
    std::uint8_t out[BLAKE3_OUT_LEN];
    blake3_hasher_finalize(&hasher, out, sizeof(out));
    std::string hex;
    for (const std::uint8_t byte : out) {
      hex += "0123456789abcdef"[byte >> 4];
      hex += "0123456789abcdef"[byte & 15];
    }
    EXPECT_EQ(hex, expected) << size;
  }
}

TEST(Secret, IsThereAndRandom) {
  ASSERT_EQ(SecretError(), nullptr);
  const Secret& secret = ProcessSecret();
  EXPECT_EQ(&secret, &ProcessSecret());
  const std::set<unsigned char> values(std::begin(secret.xxh3), std::end(secret.xxh3));
  EXPECT_GT(values.size(), 64u);  // 192 random bytes have about 135 different values
  EXPECT_NE(std::memcmp(secret.blake3, secret.xxh3, sizeof(secret.blake3)), 0);
}

}  // namespace
}  // namespace actcache
