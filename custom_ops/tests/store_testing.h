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

// A offer for the key of number `n` with the tensors of `specs`.
inline Offer OfferOf(std::uint64_t n, const std::vector<TensorSpec>& specs,
                     std::uint64_t cost_ns = 1, EntryTag tag = {0, 0}) {
  Offer offer{};
  offer.key = KeyNumber(n);
  offer.tag = tag;
  offer.specs = specs.data();
  offer.count = specs.size();
  offer.cost_ns = cost_ns;
  return offer;
}

// Reserves, fills and publishes; what Reserve() said, and kPresent if it was not published.
inline Rejection PutCandidate(Store* store, const Offer& offer) {
  Draft draft = store->Reserve(offer);
  const Rejection rejection = draft.rejection();
  if (!draft) return rejection;
  for (std::size_t i = 0; i < draft.tensor_count(); ++i) {
    Fill(offer.key, draft.data(i), draft.bytes(i));
  }
  return store->Publish(std::move(draft)) ? rejection : Rejection::kPresent;
}
inline Rejection Put(Store* store, std::uint64_t n, std::size_t bytes, std::uint64_t cost_ns,
                     EntryTag tag = {0, 0}) {
  return PutCandidate(store, OfferOf(n, Bytes(bytes), cost_ns, tag));
}

inline EntryRef Get(Store* store, std::uint64_t n) { return store->Find(KeyNumber(n), {0}); }
inline bool Has(Store* store, std::uint64_t n) { return static_cast<bool>(Get(store, n)); }

// Looks a key up as often as the store takes for a sign that it repeats.
inline void Want(Store* store, std::uint64_t n) {
  for (int lookup = 0; lookup < 2; ++lookup) store->Find(KeyNumber(n), {0});
}

inline std::size_t Clear(Store* store) { return store->Invalidate({}, 0); }
inline std::size_t ClearNamespace(Store* store, std::uint32_t name_space) {
  Selection selection;
  selection.name_space = name_space;
  return store->Invalidate(selection, 0);
}

// The charge of an entry made by Put().
inline std::size_t ChargeOf(std::size_t bytes) {
  Store store(std::size_t{1} << 40);
  const auto specs = Bytes(bytes);
  return store.Reserve(OfferOf(0, specs)).charge();
}

}  // namespace actcache::testing_support

#endif  // ACTCACHE_TESTS_STORE_TESTING_H_
