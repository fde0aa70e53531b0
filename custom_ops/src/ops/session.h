// What the operators of one session share.
#ifndef ACTCACHE_OPS_SESSION_H_
#define ACTCACHE_OPS_SESSION_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "control/knobs.h"

namespace actcache {

// Fixed when the library is registered with the session's options; never freed.
struct SessionSettings {
  std::string name_space;
  std::optional<std::uint32_t> name_space_number;  // none: too many namespaces, nothing is cached
  std::uint64_t ttl_ns = kNeverExpires;            // of the entries that the session stores
  std::uint64_t max_age_ns = kAnyAge;              // of the entries that it uses
};

// Nanoseconds of a clock that never goes back; comparable within the process only.
inline std::uint64_t SteadyNow() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace actcache

#endif  // ACTCACHE_OPS_SESSION_H_
