// Which entries a host program means.
#ifndef ACTCACHE_HOST_SELECT_H_
#define ACTCACHE_HOST_SELECT_H_

#include <optional>

#include "region/registry.h"
#include "store/selection.h"

namespace actcache {

// As in actcache.h: null, and an age of 0, select all.
struct Selectors {
  const char* name_space;
  const char* region;
  const char* fingerprint;
  double min_age_seconds;
};

// The same by number, or nothing if no entry can meet them all: no call has used the namespace yet,
// or no region has both this id and this fingerprint. Throws std::invalid_argument for an id or a
// fingerprint that no region of this process ever had, for a namespace that is too long to be one,
// and for an age that is negative or not a number.
std::optional<Selection> Select(const Registry& registry, const Selectors& selectors);

}  // namespace actcache

#endif  // ACTCACHE_HOST_SELECT_H_
