#include "units/match.h"

#include <utility>

#include "units/chain_search.h"
#include "units/entry_search.h"
#include "units/equal_keys.h"

namespace actcache {
namespace {

// One call whose units do not depend on each other.
class Search {
 public:
  Search(Store& store, const Units& units, const ElementTypes& types, const LookupRules& rules)
      : search_(store, *units.cut, types, rules, match_) {}

  Match Run(const Keys& keys) {
    match_.sources.resize(keys.size());
    match_.hits.reserve(keys.size());
    EqualKeys equal(keys);
    for (std::size_t row = 0; row < keys.size(); ++row) {
      const std::size_t first = equal.FirstEqual(row);
      if (first == row) {
        Add(row, keys[row]);
      } else {
        AddEqual(row, first);
      }
    }
    match_.handed_out.rows = match_.any_miss() ? match_.hits.size() : match_.sources.size();
    return std::move(match_);
  }

 private:
  // Looks row `row`, the first with its key, up.
  void Add(std::size_t row, const Key& key) {
    const Entry* const front = match_.hits.empty() ? nullptr : match_.hits.front().get();
    EntrySearch::Found found = search_.Look(key, front);
    if (!found.entry) return match_.Miss(row, key, found.flags);
    if (search_.Drawn()) {
      ++match_.verified;
      return match_.Miss(row, key, kVerify);
    }
    match_.saved_ns += found.entry->cost_ns();
    match_.sources[row] = RowSource::Cached(match_.hits.size());
    match_.hits.push_back(std::move(found.entry));
  }

  // Row `row` has the key of `first`.
  void AddEqual(std::size_t row, std::size_t first) {
    const RowSource source = match_.sources[first];
    match_.sources[row] = source;
    if (source.cached()) {
      match_.saved_ns += match_.hits[source.index()]->cost_ns();
    } else {
      ++match_.duplicates;
    }
  }

  Match match_;
  EntrySearch search_;
};

}  // namespace

void Match::Miss(std::size_t unit, const Key& key, std::uint8_t flags) {
  sources[unit] = RowSource::Computed(missing.size());
  missing.push_back(static_cast<std::uint32_t>(unit));
  missing_keys.push_back(key);
  missing_flags.push_back(flags);
}

Match FindUnits(Store& store, const Keys& keys, const Units& units, const ElementTypes& types,
                const LookupRules& rules) {
  if (units.cut->chained()) return FindChains(store, keys, units, types, rules);
  return Search(store, units, types, rules).Run(keys);
}

}  // namespace actcache
