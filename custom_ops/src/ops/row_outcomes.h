// What became of the rows of a call, as the audit log says it (docs/audit.md).
#ifndef ACTCACHE_OPS_ROW_OUTCOMES_H_
#define ACTCACHE_OPS_ROW_OUTCOMES_H_

#include <cstddef>
#include <cstdint>

#include "ops/found_units.h"
#include "ops/tier_search.h"
#include "region/registry.h"
#include "units/match.h"

namespace actcache {

// Whether `row`, which is found now, was not at the first search, as `first` says, which is empty
// if there was only one.
inline bool Joined(const Match& match, const Sources& first, std::size_t row) {
  return !first.empty() && !first[row].cached() && match.sources[row].cached();
}

// Fills what follows a LookupRecord: for each row its key's prefix, the age of its entry at
// `now_ns`, and its outcome; and what tiers had. `rest` has room for all of them.
void WriteRowOutcomes(const Match& match, const Keys& keys, const Sources& first,
                      const TierSearch& tiers, bool refresh, std::uint64_t now_ns, std::byte* rest);

// Adds an event if the region looks things up and did not when the log was last told, or the other
// way round.
void AuditRegionState(Region& region) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_OPS_ROW_OUTCOMES_H_
