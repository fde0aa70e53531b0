// How long a region's computation takes, smoothed over its calls.
#ifndef ACTCACHE_FLIGHT_RECOMPUTE_TIME_H_
#define ACTCACHE_FLIGHT_RECOMPUTE_TIME_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace actcache {

// Exponentially weighted moving averages of the time of a row and of the time of a call.
// Thread-safe; of additions at the same instant one may be lost, which an average does not mind.
class RecomputeTime {
 public:
  // REQUIRES: rows > 0.
  void Add(std::size_t rows, std::uint64_t elapsed_ns) noexcept {
    Smooth(row_ns_, std::max<std::uint64_t>(elapsed_ns / rows, 1));
    Smooth(call_ns_, std::max<std::uint64_t>(elapsed_ns, 1));
  }

  // What computing `rows` rows is expected to take; 0 if nothing was measured yet. At least the
  // time of a usual call, as few rows do not take in proportion less time than many.
  std::uint64_t Expected(std::size_t rows) const noexcept {
    return std::max(rows * row_ns_.load(std::memory_order_relaxed),
                    call_ns_.load(std::memory_order_relaxed));
  }

 private:
  static constexpr std::uint64_t kWeight = 8;  // a new value counts for 1 / kWeight

  static void Smooth(std::atomic<std::uint64_t>& average, std::uint64_t value) noexcept {
    const std::uint64_t old = average.load(std::memory_order_relaxed);
    const std::uint64_t smoothed = old - old / kWeight + value / kWeight;
    average.store(old == 0 ? value : std::max<std::uint64_t>(smoothed, 1),
                  std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> row_ns_{0};
  std::atomic<std::uint64_t> call_ns_{0};
};

}  // namespace actcache

#endif  // ACTCACHE_FLIGHT_RECOMPUTE_TIME_H_
