// Picks a share of events.
#ifndef ACTCACHE_BASE_SAMPLER_H_
#define ACTCACHE_BASE_SAMPLER_H_

#include <atomic>
#include <cstdint>

namespace actcache {

// Thread-safe. Which events are picked depends on their number alone, so that a record of the
// events can be played again; they are spread as if at random, so that no rhythm of the events can
// keep some of them from ever being picked.
class Sampler {
 public:
  // Whether the next event is in; `share` of them are, 0 to 1.
  bool Pick(double share) noexcept {
    if (!(share > 0)) return false;
    const std::uint64_t number = events_.fetch_add(1, std::memory_order_relaxed);
    // 53 bits, as many as a double holds, make a number in [0, 1).
    return static_cast<double>(Mix(number) >> 11) * 0x1p-53 < share;
  }

 private:
  // SplitMix64 (Steele, Lea and Flood 2014): its n-th number.
  static std::uint64_t Mix(std::uint64_t n) noexcept {
    std::uint64_t z = (n + 1) * std::uint64_t{0x9E3779B97F4A7C15};
    z = (z ^ (z >> 30)) * std::uint64_t{0xBF58476D1CE4E5B9};
    z = (z ^ (z >> 27)) * std::uint64_t{0x94D049BB133111EB};
    return z ^ (z >> 31);
  }

  std::atomic<std::uint64_t> events_{0};
};

}  // namespace actcache

#endif  // ACTCACHE_BASE_SAMPLER_H_
