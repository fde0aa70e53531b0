// How the budget of a disk store is divided. Everything below the store's folder counts.
#ifndef ACTCACHE_TIER_DISK_LIMITS_H_
#define ACTCACHE_TIER_DISK_LIMITS_H_

#include <algorithm>
#include <cstdint>

namespace actcache {

inline constexpr std::uint64_t kMinDiskBudget = std::uint64_t{16} << 20;
inline constexpr std::uint64_t kDefaultDiskBudget = std::uint64_t{1} << 30;

// Larger values have files of their own: such a value is written once instead of twice (log and
// database). Measured (docs/tiers.md): from about this size on files take less time.
inline constexpr std::uint64_t kOwnFileBytes = std::uint64_t{64} << 10;

inline constexpr std::uint64_t kPageBytes = 8192;

struct DiskLimits {
  explicit constexpr DiskLimits(std::uint64_t budget_in) noexcept
      : budget(std::max(budget_in, kMinDiskBudget)),
        log(std::clamp(budget / 8, std::uint64_t{2} << 20, std::uint64_t{32} << 20)) {}

  std::uint64_t budget;
  // The write-ahead log may grow to this. A transaction begins only while half of it is free.
  std::uint64_t log;
  // The log's index, which is mapped memory, the folders, the secret.
  static constexpr std::uint64_t kReserve = std::uint64_t{1} << 20;

  // What is left for the database and the files of values.
  constexpr std::uint64_t values() const noexcept { return budget - log - kReserve; }
  // Larger values would push out too much.
  constexpr std::uint64_t largest_value() const noexcept { return values() / 8; }
  // Small values that one transaction writes.
  constexpr std::uint64_t transaction() const noexcept { return log / 8; }
  // Entries that one transaction evicts: each changes some pages of the database.
  constexpr int victims() const noexcept { return static_cast<int>(log / (64 << 10)); }
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_LIMITS_H_
