// Whether regions are bypassed at all, as the knob says.
#ifndef ACTCACHE_POLICY_BYPASS_SETTING_H_
#define ACTCACHE_POLICY_BYPASS_SETTING_H_

#include <atomic>
#include <cstdint>

namespace actcache {

// Aligned to its size: a processor then loads and stores it at once, and no compiler calls a
// library of locks for that.
struct alignas(std::uint64_t) BypassSetting {
  bool automatic = true;
  // How often that has changed: who looks now and then also notices what was changed and changed
  // back in between.
  std::uint32_t changes = 0;

  BypassSetting After(bool next) const {
    return {next, changes + static_cast<std::uint32_t>(next != automatic)};
  }
  bool operator==(const BypassSetting& other) const {
    return automatic == other.automatic && changes == other.changes;
  }
  bool operator!=(const BypassSetting& other) const { return !(*this == other); }
};
static_assert(std::atomic<BypassSetting>::is_always_lock_free, "BypassSetting");

}  // namespace actcache

#endif  // ACTCACHE_POLICY_BYPASS_SETTING_H_
