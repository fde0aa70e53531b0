// What the knobs say of tiers.
#ifndef ACTCACHE_TIER_SETTINGS_H_
#define ACTCACHE_TIER_SETTINGS_H_

#include <cstdint>
#include <string>

namespace actcache {

struct TierSettings {
  std::string disk_path;                // "": none
  std::uint64_t disk_budget_bytes = 0;  // 0: what the store has, else the default

  friend bool operator==(const TierSettings& a, const TierSettings& b) {
    return a.disk_path == b.disk_path && a.disk_budget_bytes == b.disk_budget_bytes;
  }
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_SETTINGS_H_
