// What a region has learnt of the tiers: whether its values are found there, how large they are,
// what computing one takes.
#ifndef ACTCACHE_TIER_REGION_USE_H_
#define ACTCACHE_TIER_REGION_USE_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tier/fetch_times.h"

namespace actcache {

inline constexpr std::size_t kMostTiers = 2;

// Thread-safe, as FetchTimes.
class RegionUse {
 public:
  // Whether to ask a tier for a value that takes `recompute_ns` (0: not known) to compute: if
  // fetching takes at most half of that, and if it is found often enough to pay for all the times
  // that it is not. Some calls ask all the same, or nobody would see that things have changed.
  bool Asks(std::size_t tier, const FetchTimes& times, std::uint64_t recompute_ns) noexcept {
    const std::uint64_t learnt = cost_ns_.load(std::memory_order_relaxed);
    if (recompute_ns == 0) recompute_ns = learnt;
    const std::uint64_t fetch_ns = times.Found(bytes_.load(std::memory_order_relaxed));
    if (recompute_ns == 0 || fetch_ns == 0) return true;
    const double share = share_[tier].load(std::memory_order_relaxed);
    const double gain =
        share * static_cast<double>(recompute_ns - std::min(recompute_ns, fetch_ns));
    const double loss = (1 - share) * static_cast<double>(times.Absent());
    if (2 * fetch_ns <= recompute_ns && gain >= loss) return true;
    return skipped_[tier].fetch_add(1, std::memory_order_relaxed) % kProbe == kProbe - 1;
  }

  // `asked` values were asked for, `found` of them found.
  void Asked(std::size_t tier, std::size_t asked, std::size_t found) noexcept {
    double share = share_[tier].load(std::memory_order_relaxed);
    const double now = static_cast<double>(found) / static_cast<double>(asked);
    share += (now - share) / kWeight;
    share_[tier].store(share, std::memory_order_relaxed);
  }

  // Of a value, about, and what computing it took; 0: not known.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t cost_ns() const noexcept { return cost_ns_.load(std::memory_order_relaxed); }

  // A value of the region has so many bytes, and took so long.
  void Seen(std::size_t bytes, std::uint64_t cost_ns) noexcept {
    bytes_.store(bytes, std::memory_order_relaxed);
    cost_ns_.store(cost_ns, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kProbe = 32;
  static constexpr double kWeight = 32;

  // Begins in hope: a process that starts beside a full store finds most of what it asks for.
  std::array<std::atomic<double>, kMostTiers> share_{{0.5, 0.5}};
  std::array<std::atomic<std::uint32_t>, kMostTiers> skipped_{};
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::uint64_t> cost_ns_{0};
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REGION_USE_H_
