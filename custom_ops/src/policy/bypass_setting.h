// Whether regions are bypassed at all, as the knob says.
#ifndef ACTCACHE_POLICY_BYPASS_SETTING_H_
#define ACTCACHE_POLICY_BYPASS_SETTING_H_

#include <cstdint>

namespace actcache {

struct BypassSetting {
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

}  // namespace actcache

#endif  // ACTCACHE_POLICY_BYPASS_SETTING_H_
