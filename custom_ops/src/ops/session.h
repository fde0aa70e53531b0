// What the operators of one session share.
#ifndef ACTCACHE_OPS_SESSION_H_
#define ACTCACHE_OPS_SESSION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"  // IWYU pragma: export
#include "control/knobs.h"

namespace actcache {

// Fixed when the library is registered with the session's options; never freed.
struct SessionSettings {
  std::string name_space;
  std::optional<std::uint32_t> name_space_number;  // none: too many namespaces, nothing is cached
  std::uint64_t ttl_ns = kNeverExpires;            // of the entries that the session stores
  std::uint64_t max_age_ns = kAnyAge;              // of the entries that it uses
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_SESSION_H_
