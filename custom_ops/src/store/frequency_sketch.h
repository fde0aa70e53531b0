// How often keys were wanted lately that are not stored.
#ifndef ACTCACHE_STORE_FREQUENCY_SKETCH_H_
#define ACTCACHE_STORE_FREQUENCY_SKETCH_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "hash/key.h"

namespace actcache {

// A count-min sketch with conservative update (Estan & Varghese 2002) whose counters are halved
// once in a while, as in TinyLFU (Einziger et al. 2017). While a key is stored its entry counts its
// uses, which spares hits the sketch; when the entry goes, the sketch takes the count over. So the
// estimate is at least the number of uses, halved with every halving since (up to 255), and more
// only where keys collide. 16 KiB, fixed, not charged to the budget. Not thread-safe; no operation
// fails.
class FrequencySketch {
 public:
  // One more use.
  void Add(const Key& key) noexcept;
  // At least so many uses.
  void Raise(const Key& key, std::uint16_t uses) noexcept;
  std::uint8_t Estimate(const Key& key) const noexcept;

 private:
  static constexpr std::size_t kCounters = 16384;
  static constexpr std::size_t kProbes = 4;
  // Changes between halvings. One raises at most kProbes counters, so that most stay 0 or 1 and
  // four collisions at once are rare even if every key is new.
  static constexpr std::uint32_t kPeriod = kCounters / 4;

  static std::array<std::uint16_t, kProbes> Probe(const Key& key) noexcept;
  void HalveInTime() noexcept;

  std::array<std::uint8_t, kCounters> counters_{};
  std::uint32_t changes_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_FREQUENCY_SKETCH_H_
