// What the knobs say of tiers.
#ifndef ACTCACHE_TIER_SETTINGS_H_
#define ACTCACHE_TIER_SETTINGS_H_

#include <cstdint>
#include <string>

#include "tier/remote/remote_knobs.h"

namespace actcache {

struct TierSettings {
  std::string disk_path;                // "": none
  std::uint64_t disk_budget_bytes = 0;  // 0: what the store has, else the default
  RemoteKnobs remote;

  friend bool operator==(const TierSettings& a, const TierSettings& b) {
    return a.disk_path == b.disk_path && a.disk_budget_bytes == b.disk_budget_bytes &&
           a.remote == b.remote;
  }
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_SETTINGS_H_
