// How long to wait before a server that failed is tried again.
#ifndef ACTCACHE_TIER_REMOTE_BACKOFF_H_
#define ACTCACHE_TIER_REMOTE_BACKOFF_H_

#include <algorithm>
#include <cstdint>
#include <random>

namespace actcache {

// Waits that double from the first to kLongestNs, each drawn from the upper half of its span, so
// that the machines of a fleet do not come back together. Not thread-safe.
class Backoff {
 public:
  static constexpr std::uint64_t kLongestNs = 30'000'000'000;

  // Equal seeds give equal waits. REQUIRES: first_ns > 1.
  Backoff(std::uint64_t seed, std::uint64_t first_ns)
      : random_(seed), first_ns_(first_ns), span_ns_(first_ns) {}

  // The wait after one more failure, in nanoseconds.
  std::uint64_t Next() {
    const std::uint64_t span = span_ns_;
    span_ns_ = std::min(span * 2, kLongestNs);
    return span - random_() % (span / 2);
  }

  void Reset() { span_ns_ = first_ns_; }

 private:
  std::mt19937_64 random_;
  std::uint64_t first_ns_;
  std::uint64_t span_ns_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_BACKOFF_H_
