// Values whose every byte follows from their key, so that a wrong one shows without a history.
#ifndef ACTCACHE_TESTS_TIER_TESTING_H_
#define ACTCACHE_TESTS_TIER_TESTING_H_

#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tier/tier.h"

namespace actcache {

inline std::uint64_t MixForTest(std::uint64_t z) {
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

inline TierKey TestKey(std::uint64_t number) {
  TierKey key{};
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint64_t word = MixForTest(number * 4 + i);
    std::memcpy(key.data() + 8 * i, &word, 8);
  }
  return key;
}

// Calls `visit` with each piece of up to eight bytes that the value of a key consists of: where it
// is, the bytes, how many.
template <typename Visit>
void ForTestBytes(std::uint64_t number, std::size_t bytes, const Visit& visit) {
  for (std::size_t at = 0; at < bytes; at += 8) {
    const std::uint64_t word = MixForTest(number ^ (at / 8) << 32);
    visit(at, &word, std::min(bytes - at, sizeof(word)));
  }
}

inline void FillWithTestBytes(std::byte* data, std::uint64_t number, std::size_t bytes) {
  ForTestBytes(number, bytes, [&](std::size_t at, const void* piece, std::size_t size) {
    std::memcpy(data + at, piece, size);
  });
}

inline Record TestRecord(std::uint64_t number, std::size_t bytes, const DigestKey& secret,
                         std::uint64_t expires_ns = 0, std::uint64_t cost_ns = 1'000'000) {
  RecordFields fields;
  fields.key = TestKey(number);
  fields.fingerprint = "f00d";
  fields.region = "region";
  fields.name_space = "";
  fields.made_ns = UnixNow();
  fields.expires_ns = expires_ns;
  fields.cost_ns = cost_ns;
  const TensorSpec spec{2, {static_cast<std::int64_t>(bytes)}, bytes};
  Record record = Record::Make(fields, &spec, 1);
  FillWithTestBytes(record.payload(0), number, bytes);
  record.Seal(secret);
  return record;
}

inline bool IsTestValue(const Record& record, std::uint64_t number) {
  if (record.tensor_count() != 1) return false;
  bool equal = true;
  ForTestBytes(number, record.spec(0).bytes,
               [&](std::size_t at, const void* piece, std::size_t size) {
                 equal &= std::memcmp(record.payload(0) + at, piece, size) == 0;
               });
  return equal;
}

inline void PutOne(Tier* tier, std::uint64_t number, std::size_t bytes,
                   std::uint64_t cost_ns = 1000) {
  const Record record = TestRecord(number, bytes, tier->secret(), 0, cost_ns);
  tier->Put(&record, 1);
}

inline Record GetOne(Tier* tier, std::uint64_t number) {
  const TierKey key = TestKey(number);
  Record found;
  tier->Get(&key, 1, ~std::uint64_t{0}, &found);
  return found;
}

// A new folder, which goes with this object.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "actcache-tier-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What the disk gives to a folder and everything below it, as du(1) counts it.
std::uint64_t DiskUsage(const std::string& path);

}  // namespace actcache

#endif  // ACTCACHE_TESTS_TIER_TESTING_H_
