// What a call gets out of tiers for what memory does not have.
#ifndef ACTCACHE_OPS_TIER_SEARCH_H_
#define ACTCACHE_OPS_TIER_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "policy/origins.h"
#include "region/registry.h"
#include "store/entry_ref.h"
#include "store/store.h"
#include "tier/tiers.h"
#include "units/match.h"

namespace actcache {

// What the units of a call are called outside of the process.
struct UnitNames {
  const Keys& keys;
  const KeyTails& tails;
  std::size_t length;  // of a chain; 0: units do not follow each other

  TierKey Of(std::size_t unit) const noexcept { return TierKeyOf(keys[unit], tails[unit]); }
  // What a unit follows.
  std::optional<TierKey> Before(std::size_t unit) const noexcept {
    if (length == 0 || unit % length == 0) return std::nullopt;
    return Of(unit - 1);
  }
};

// The values that tiers had, as entries: in the store where it takes them, else beside it.
class TierSearch {
 public:
  // Asks for what `match` misses. `rules` as for the search in the store.
  void Run(Region& region, std::uint32_t name_space, const LookupRules& rules, const Match& match,
           const UnitNames& names) noexcept;
  // Likewise in a replay: asks for `logged` units alone, and takes what there is of them as the log
  // says that the call had it.
  void RunLogged(Region& region, std::uint32_t name_space, const LookupRules& rules,
                 const Match& match, const UnitNames& names,
                 const std::vector<FetchedUnit>& logged) noexcept;

  // For LookupRules::beside, if there are any.
  const std::vector<EntryRef>& entries() const noexcept { return entries_; }

  // What a unit's row came out of, after the search with entries(): a tier's number, or kNoTier.
  static constexpr std::size_t kNoTier = kMostTiers;
  std::size_t TierOf(const Match& match, std::size_t unit) const noexcept;

  // The units that tiers had, in the order in which they became entries.
  const std::vector<FetchedUnit>& fetched() const noexcept { return fetched_; }

  std::uint64_t elapsed_ns() const noexcept { return elapsed_ns_; }

  // What decides what becomes of a record's entry; a step of Run(). Nothing: the record has expired
  // by now, or is too old.
  static std::optional<FetchedUnit> Taken(std::size_t unit, const Tiers::Found& found,
                                          const FindLimits& limits);

 private:
  // Whose entries are made, and of when.
  struct Owner {
    const Region& region;
    std::uint32_t name_space;
    std::uint64_t now_ns;
  };
  // Makes an entry of a record, which is `unit`'s, and which `origin` made. Null: it cannot be
  // used, as it is of another region.
  static EntryRef Enter(const Owner& owner, const Key& key, const Record& record,
                        const FetchedUnit& unit, Origin origin, bool replace);
  // Uses it, and keeps in mind whose it is.
  void Add(EntryRef entry, const FetchedUnit& unit);

  std::vector<EntryRef> entries_;
  std::vector<std::pair<const Entry*, std::size_t>> tiers_;  // of entries_, sorted
  std::vector<FetchedUnit> fetched_;
  std::uint64_t elapsed_ns_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_TIER_SEARCH_H_
