// Which entries a host program means.
#ifndef ACTCACHE_CONTROL_SELECT_H_
#define ACTCACHE_CONTROL_SELECT_H_

#include <optional>

#include "control/registry.h"
#include "store/selection.h"

namespace actcache {

// As in actcache.h: null, and an age of 0, select all.
struct Selectors {
  const char* name_space;
  const char* region;
  const char* fingerprint;
  double min_age_seconds;
};

// The same by number, or nothing if no entry can be meant: there is no such namespace or region.
// Throws std::invalid_argument for an age that is negative or not a number.
std::optional<Selection> Select(const Registry& registry, const Selectors& selectors);

}  // namespace actcache

#endif  // ACTCACHE_CONTROL_SELECT_H_
