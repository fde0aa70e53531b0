// The one clock that durations, ages and expiries are measured with.
#ifndef ACTCACHE_BASE_CLOCK_H_
#define ACTCACHE_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace actcache {

// Nanoseconds of a clock that never goes back; comparable within the process only.
inline std::uint64_t SteadyNow() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace actcache

#endif  // ACTCACHE_BASE_CLOCK_H_
