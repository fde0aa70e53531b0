// What the operators of one session share.
#ifndef ACTCACHE_OPS_SESSION_H_
#define ACTCACHE_OPS_SESSION_H_

#include <cstdint>
#include <string>

#include "base/clock.h"  // IWYU pragma: export

namespace actcache {

// Fixed when the library is registered with the session's options; never freed.
struct SessionSettings {
  std::string name_space;
  std::uint32_t name_space_number;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_SESSION_H_
