// What a call gets out of tiers for what memory does not have.
#ifndef ACTCACHE_OPS_TIER_SEARCH_H_
#define ACTCACHE_OPS_TIER_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "region/registry.h"
#include "store/entry_ref.h"
#include "store/store.h"
#include "tier/tiers.h"
#include "units/match.h"

namespace actcache {

// The values that tiers had, as entries: in the store where it takes them, else beside it.
class TierSearch {
 public:
  // Asks for what `match` misses. `tails`: second halves of all units' keys, which mean the same in
  // other processes. `limits` as for the search in the store.
  void Run(Region& region, std::uint32_t name_space, const FindLimits& limits, const Match& match,
           const KeyTails& tails) noexcept;

  // For LookupRules::beside, if there are any.
  const std::vector<EntryRef>& entries() const noexcept { return entries_; }

  // What a unit's row came out of, after the search with entries(): a tier's number, or kNoTier.
  static constexpr std::size_t kNoTier = kMostTiers;
  std::size_t TierOf(const Match& match, std::size_t unit) const noexcept;

  std::uint64_t elapsed_ns() const noexcept { return elapsed_ns_; }

  // Makes an entry of a record; a step of Run(). Null: it cannot be used, as it is of another
  // region, has expired by now or is too old.
  static EntryRef Enter(const Region& region, std::uint32_t name_space, const Key& key,
                        const Record& record, const FindLimits& limits, bool replace);

 private:
  std::vector<EntryRef> entries_;
  std::vector<std::pair<const Entry*, std::size_t>> tiers_;  // of entries_, sorted
  std::uint64_t elapsed_ns_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_TIER_SEARCH_H_
