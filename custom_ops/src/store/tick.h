// Coarse times, four bytes each, for entries.
#ifndef ACTCACHE_STORE_TICK_H_
#define ACTCACHE_STORE_TICK_H_

#include <cstdint>

namespace actcache {

// A point of SteadyNow() in units of 2^23 ns (8.4 ms), modulo 2^32 (417 days). Points less than
// half of that apart compare rightly; Store forgets entries before they are older.
using Tick = std::uint32_t;

inline constexpr unsigned kTickBits = 23;
inline constexpr std::uint64_t kTickNs = std::uint64_t{1} << kTickBits;
inline constexpr std::uint64_t kMostTicks = std::uint64_t{1} << 31;
// The store forgets what is older (104 days), sooner or later.
inline constexpr std::uint64_t kOldNs = (kMostTicks / 2) << kTickBits;

constexpr Tick TickOf(std::uint64_t now_ns) noexcept {
  return static_cast<Tick>(now_ns >> kTickBits);
}

// Ticks from `from` to `to`; negative if `to` is before it.
constexpr std::int64_t TicksBetween(Tick from, Tick to) noexcept {
  return static_cast<std::int32_t>(to - from);
}

}  // namespace actcache

#endif  // ACTCACHE_STORE_TICK_H_
