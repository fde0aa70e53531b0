// How long a tier takes to answer, by the size of what it returns.
#ifndef ACTCACHE_TIER_FETCH_TIMES_H_
#define ACTCACHE_TIER_FETCH_TIMES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "policy/recent_median.h"

namespace actcache {

// Medians of the last calls: one that had to wait for a connection or a disk that slept does not
// speak for the next. Thread-safe.
class FetchTimes {
 public:
  // A call that asked for `asked` values and got `found` of them, of `bytes` in all.
  void Add(std::size_t asked, std::size_t found, std::size_t bytes, std::uint64_t ns) noexcept {
    const MutexLock lock(&mutex_);
    const auto elapsed = static_cast<double>(ns);
    if (found == 0) return absent_ns_.Add(elapsed / static_cast<double>(asked));
    const double absent = absent_ns_.value() * static_cast<double>(asked - found);
    found_ns_[ClassOf(bytes / found)].Add(std::max(elapsed - absent, 0.0) /
                                          static_cast<double>(found));
  }

  // What fetching a value of about `bytes` takes; 0: it was not measured often enough.
  std::uint64_t Found(std::size_t bytes) const noexcept {
    const MutexLock lock(&mutex_);
    const std::size_t wanted = ClassOf(bytes);
    for (std::size_t distance = 0; distance < kClasses; ++distance) {
      for (const std::size_t at : {wanted + distance, wanted - distance}) {
        if (at >= kClasses || found_ns_[at].count() < kEnough) continue;
        const auto ns = static_cast<std::uint64_t>(std::max(found_ns_[at].value(), 1.0));
        // Larger values take longer in proportion, smaller ones as long.
        return at < wanted ? ns << (wanted - at) : ns;
      }
    }
    return 0;
  }

  // What it takes to learn that a value is not there; 0: it was never measured.
  std::uint64_t Absent() const noexcept {
    const MutexLock lock(&mutex_);
    return static_cast<std::uint64_t>(absent_ns_.value());
  }

 private:
  static constexpr std::size_t kClasses = 32;  // octaves of bytes
  static constexpr std::size_t kEnough = 3;    // measurements, before one is believed

  static std::size_t ClassOf(std::size_t bytes) noexcept {
    std::size_t octave = 0;
    for (; bytes > 1 && octave + 1 < kClasses; bytes /= 2) ++octave;
    return octave;
  }

  mutable Mutex mutex_;
  std::array<RecentMedian, kClasses> found_ns_ ACTCACHE_GUARDED_BY(mutex_);
  RecentMedian absent_ns_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_FETCH_TIMES_H_
