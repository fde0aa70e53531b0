// What asks for room in the store.
#ifndef ACTCACHE_STORE_OFFER_H_
#define ACTCACHE_STORE_OFFER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "hash/key.h"

namespace actcache {

// What to reserve room for. `bytes` is the payload's size, whatever dtype and dims say (strings).
struct TensorSpec {
  std::int32_t dtype;  // onnx TensorProto.DataType
  std::vector<std::int64_t> dims;
  std::size_t bytes;
};

// Whose an entry is. Both are small ids given out from 0 by the caller.
struct EntryTag {
  std::uint32_t name_space;
  std::uint32_t region;
};

// Where the key of an entry means the same.
enum class KeyScope : std::uint8_t {
  kProcess,  // in this process alone: what the key covers has no name elsewhere
  kShared,   // wherever hashes have the same secret
};

struct Offer {
  Key key;
  EntryTag tag;
  const TensorSpec* specs;
  std::size_t count;
  std::uint64_t cost_ns;       // what computing it took
  std::uint64_t fetch_ns = 0;  // what finding and copying it will take instead
  std::uint64_t now_ns = 0;    // SteadyNow()
  std::uint64_t ttl_ns = 0;    // its time to live; 0: it never expires
  std::uint64_t age_ns = 0;    // how old it is already; more than kOldNs (tick.h) counts as that
  KeyScope scope = KeyScope::kProcess;
  std::uint16_t origin = 0;  // which session made it (policy/origins.h)
  bool replace = false;      // take the place of an entry with this key, if there is one
  // Of a unit of a chain: what the one before it is worth (Store::Find(), Draft::worth()).
  double before = std::numeric_limits<double>::infinity();
  std::size_t followers = 0;  // units of the chain that are not offered if this one is refused
  bool payloads = true;       // false: they are charged, and have no memory (simulation.h)

  // What one hit would save.
  std::uint64_t saving_ns() const noexcept { return cost_ns > fetch_ns ? cost_ns - fetch_ns : 0; }
  // And for each byte held, rounded as entries keep it: else equals would not be worth the same.
  float gain(std::size_t charge) const noexcept {
    return static_cast<float>(static_cast<double>(saving_ns()) / static_cast<double>(charge));
  }
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_OFFER_H_
