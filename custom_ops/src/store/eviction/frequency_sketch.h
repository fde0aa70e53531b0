// How often keys that are not stored were looked up lately.
#ifndef ACTCACHE_STORE_EVICTION_FREQUENCY_SKETCH_H_
#define ACTCACHE_STORE_EVICTION_FREQUENCY_SKETCH_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "hash/key.h"

namespace actcache {

// A count-min sketch with conservative update (Estan & Varghese 2002) whose counters are halved
// once in a while, as in TinyLFU (Einziger et al. 2017). The estimate is at least the number of
// Add()s since the last halving (up to 255) and more only where keys collide. 4 KiB, fixed, not
// charged to the budget. Not thread-safe; no operation fails.
class FrequencySketch {
 public:
  void Add(const Key& key) noexcept;
  // As if there had been so many Add()s (up to 255), if there were fewer.
  void Raise(const Key& key, std::uint16_t uses) noexcept;
  std::uint16_t Estimate(const Key& key) const noexcept;

 private:
  static constexpr std::size_t kCounters = 4096;
  static constexpr std::size_t kProbes = 4;
  // Adds between halvings. An Add raises at most kProbes counters, so that most stay 0 or 1 and
  // four collisions at once are rare even if every key is new.
  static constexpr std::uint32_t kPeriod = kCounters / 8;

  static std::array<std::uint16_t, kProbes> Probe(const Key& key) noexcept;
  void Halve() noexcept;

  std::array<std::uint8_t, kCounters> counters_{};
  std::uint32_t adds_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_EVICTION_FREQUENCY_SKETCH_H_
