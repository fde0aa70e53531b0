// Short ways to make keys and entries in store tests.
#ifndef ACTCACHE_TESTS_STORE_TESTING_H_
#define ACTCACHE_TESTS_STORE_TESTING_H_

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "store/store.h"

namespace actcache::testing_support {

// splitmix64: keys come from a hash, so tests spread theirs over all bits too.
inline std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

inline Key KeyNumber(std::uint64_t n) { return Key{{Mix(2 * n), Mix(2 * n + 1)}}; }

inline std::vector<TensorSpec> Bytes(std::size_t bytes) {
  return {{/*dtype=*/2, {static_cast<std::int64_t>(bytes)}, bytes}};
}

// Payload bytes that only this key has.
inline unsigned char ByteOf(const Key& key, std::size_t i) {
  return static_cast<unsigned char>(Mix(key.words[0] ^ (i / 8)) >> (8 * (i % 8)));
}
inline void Fill(const Key& key, void* data, std::size_t bytes) {
  auto* out = static_cast<unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = ByteOf(key, i);
}
inline bool Holds(const Key& key, const void* data, std::size_t bytes) {
  const auto* in = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) {
    if (in[i] != ByteOf(key, i)) return false;
  }
  return true;
}

// Reserves, fills and publishes; what Reserve() said.
inline Refusal Put(Store* store, std::uint64_t n, std::size_t bytes, std::uint64_t cost_ns,
                   EntryTag tag = {0, 0}) {
  const Key key = KeyNumber(n);
  const auto specs = Bytes(bytes);
  Draft draft = store->Reserve(key, tag, specs.data(), specs.size(), cost_ns);
  const Refusal refusal = draft.refusal();
  if (!draft) return refusal;
  Fill(key, draft.data(0), draft.bytes(0));
  return store->Publish(std::move(draft)) ? refusal : Refusal::kPresent;
}

inline bool Has(Store* store, std::uint64_t n) {
  return static_cast<bool>(store->Find(KeyNumber(n)));
}

// The charge of an entry made by Put().
inline std::size_t ChargeOf(std::size_t bytes) {
  Store store(std::size_t{1} << 40);
  const auto specs = Bytes(bytes);
  return store.Reserve(KeyNumber(0), {0, 0}, specs.data(), specs.size(), 0).charge();
}

}  // namespace actcache::testing_support

#endif  // ACTCACHE_TESTS_STORE_TESTING_H_
