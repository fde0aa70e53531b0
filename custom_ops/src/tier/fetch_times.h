// How long a tier takes to answer, by the size of what it returns.
#ifndef ACTCACHE_TIER_FETCH_TIMES_H_
#define ACTCACHE_TIER_FETCH_TIMES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace actcache {

// Exponentially weighted averages. Thread-safe; of additions at the same instant one may be lost,
// which an average does not mind.
class FetchTimes {
 public:
  // A call that asked for `asked` values and got `found` of them, of `bytes` in all.
  void Add(std::size_t asked, std::size_t found, std::size_t bytes, std::uint64_t ns) noexcept {
    if (found == 0) return Smooth(absent_ns_, ns / asked);
    const std::uint64_t absent = (asked - found) * absent_ns_.load(std::memory_order_relaxed);
    Smooth(found_ns_[ClassOf(bytes / found)], (ns > absent ? ns - absent : 0) / found);
  }

  // What fetching a value of about `bytes` takes; 0: it was never measured.
  std::uint64_t Found(std::size_t bytes) const noexcept {
    const std::size_t wanted = ClassOf(bytes);
    for (std::size_t distance = 0; distance < kClasses; ++distance) {
      for (const std::size_t at : {wanted + distance, wanted - distance}) {
        if (at >= kClasses) continue;
        const std::uint64_t ns = found_ns_[at].load(std::memory_order_relaxed);
        if (ns == 0) continue;
        // Larger values take longer in proportion, smaller ones as long.
        return at < wanted ? ns << (wanted - at) : ns;
      }
    }
    return 0;
  }

  // What it takes to learn that a value is not there; 0: it was never measured.
  std::uint64_t Absent() const noexcept { return absent_ns_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kClasses = 32;  // octaves of bytes
  static constexpr std::uint64_t kWeight = 8;  // a new value counts for 1 / kWeight

  static std::size_t ClassOf(std::size_t bytes) noexcept {
    std::size_t octave = 0;
    for (; bytes > 1 && octave + 1 < kClasses; bytes /= 2) ++octave;
    return octave;
  }

  static void Smooth(std::atomic<std::uint64_t>& average, std::uint64_t value) noexcept {
    const std::uint64_t old = average.load(std::memory_order_relaxed);
    const std::uint64_t next = old == 0 ? value : old - old / kWeight + value / kWeight;
    average.store(next == 0 ? 1 : next, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, kClasses> found_ns_{};
  std::atomic<std::uint64_t> absent_ns_{0};
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_FETCH_TIMES_H_
