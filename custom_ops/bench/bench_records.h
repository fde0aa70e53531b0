// Values of any size, for programs that time tiers.
#ifndef ACTCACHE_BENCH_RECORDS_H_
#define ACTCACHE_BENCH_RECORDS_H_

#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "tier/record.h"

namespace actcache::bench {

inline TierKey KeyNumber(std::uint64_t number) {
  TierKey key{};
  std::memcpy(key.data(), &number, sizeof(number));
  return key;
}

// A sealed record of one tensor of so many bytes.
inline Record RecordNumber(std::uint64_t number, std::size_t bytes, const DigestKey& secret) {
  RecordFields fields;
  fields.key = KeyNumber(number);
  fields.region = "region";
  fields.made_ns = UnixNow();
  fields.cost_ns = 1'000'000;
  const TensorSpec spec{1, {static_cast<std::int64_t>(bytes)}, bytes};
  Record record = Record::Make(fields, &spec, 1);
  std::memset(record.payload(0), static_cast<int>(number), bytes);
  record.Seal(secret);
  return record;
}

}  // namespace actcache::bench

#endif  // ACTCACHE_BENCH_RECORDS_H_
