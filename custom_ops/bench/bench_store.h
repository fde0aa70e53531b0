// Short ways to make keys and entries in measurements.
#ifndef ACTCACHE_BENCH_BENCH_STORE_H_
#define ACTCACHE_BENCH_BENCH_STORE_H_

#include <cstdint>
#include <vector>

#include "hash/key.h"
#include "store/store.h"

namespace actcache::bench {

// splitmix64: real keys come from a hash, so these are spread over all bits too.
inline std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

inline Key KeyNumber(std::uint64_t n) { return Key{{Mix(n), Mix(~n)}}; }

// One tensor of this many bytes.
inline std::vector<TensorSpec> Bytes(std::size_t bytes) {
  constexpr std::int32_t kUint8 = 2;
  return {{kUint8, {static_cast<std::int64_t>(bytes)}, bytes}};
}

// A offer whose tensors are `specs`, which must outlive it.
inline Offer OfferOf(const Key& key, const std::vector<TensorSpec>& specs, std::uint64_t cost_ns) {
  Offer offer{};
  offer.key = key;
  offer.specs = specs.data();
  offer.count = specs.size();
  offer.cost_ns = cost_ns;
  offer.now_ns = 1;
  return offer;
}

// Nothing expires here, so that the time is always the same.
inline EntryRef Find(Store* store, const Key& key) { return store->Find(key, FindLimits{1}); }

}  // namespace actcache::bench

#endif  // ACTCACHE_BENCH_BENCH_STORE_H_
