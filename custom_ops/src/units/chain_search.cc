#include "units/chain_search.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "units/entry_search.h"
#include "units/equal_keys.h"

namespace actcache {
namespace {

class ChainSearch {
 public:
  ChainSearch(Store& store, const Keys& keys, const Units& units, const ElementTypes& types,
              const LookupRules& rules)
      : keys_(keys),
        units_(units),
        refresh_(rules.refresh),
        search_(store, *units.cut, types, rules, match_) {}

  Match Run() {
    const std::size_t rows = units_.count / units_.length;
    entries_.resize(units_.count);
    flags_.resize(units_.count);
    std::size_t found = units_.length;
    for (std::size_t row = 0; row < rows; ++row) found = std::min(found, Follow(row));
    // Somebody may have computed the last position, but not ended there.
    const bool lacks_ends =
        found == units_.length && units_.cut->hands_ends_on() && !TakeEnds(rows, found - 1);
    const std::size_t used = units_.cut->Used(lacks_ends ? found - 1 : found, units_);
    const bool resumes = units_.cut->has_ends() && used < units_.length;
    Divide(rows, resumes ? UpToEnds(rows, std::min(found, used + 1)) : used,
           resumes && !lacks_ends ? found : 0);
    return std::move(match_);
  }

 private:
  // Looks up the chain of a row; returns how many units of it can be used.
  std::size_t Follow(std::size_t row) {
    const std::size_t first = row * units_.length;
    std::size_t usable = 0;
    bool unbroken = true;
    double before = std::numeric_limits<double>::infinity();
    for (std::size_t i = first; i < first + units_.length; ++i) {
      EntrySearch::Found found = search_.Look(keys_[i], first_, &before);
      flags_[i] = found.flags;
      if (found.entry && !drawn_) drawn_ = search_.Drawn();
      if (found.entry && *drawn_) {
        flags_[i] = kVerify;
        ++match_.verified;
      } else if (found.entry) {
        if (unbroken) ++usable;
        if (first_ == nullptr) first_ = found.entry.get();
        flags_[i] = kKept;
        entries_[i] = std::move(found.entry);
      }
      if (flags_[i] == kKept) continue;
      unbroken = false;
      // What others have to compare may be followed by more of that; of a refresh, all is replaced.
      if (flags_[i] != kVerify && !refresh_) break;
    }
    return usable;
  }

  // Takes the ends of the last position, of the first `last` of all rows, that has some in every
  // row; returns how many positions are before it. 0: there are none.
  std::size_t UpToEnds(std::size_t rows, std::size_t last) {
    for (std::size_t before = last; before-- > 1;) {
      if (TakeEnds(rows, before)) return before;
    }
    return 0;
  }
  // Takes the ends of a position, if it has some in every row. REQUIRES: it is known in all of
  // them.
  bool TakeEnds(std::size_t rows, std::size_t position) {
    for (std::size_t row = 0; row < rows; ++row) {
      if (!EndsLike(row * units_.length + position, position)) return false;
    }
    for (std::size_t row = 0; row < rows; ++row) {
      match_.ends.push_back(entries_[row * units_.length + position]);
    }
    return true;
  }
  // Whether a unit has ends, as those of another one.
  bool EndsLike(std::size_t unit, std::size_t other) const {
    const Entry& entry = *entries_[unit];
    return search_.HasEnds(entry) && (unit == other || entry.SameTensors(*entries_[other]));
  }
  // Marks what is computed again: an entry without ends is replaced by one that has them.
  void WantEnds(std::size_t unit, std::size_t divided) {
    const std::size_t behind = unit % units_.length + 1;
    if (behind != units_.length && behind != divided) return;
    if (units_.cut->has_ends() && entries_[unit] && !search_.HasEnds(*entries_[unit])) {
      flags_[unit] = kReplace;
    }
  }
  // Where others go on in another way than this call: behind `found` positions, if that is worth
  // dividing what is computed; else 0.
  std::size_t DividedAt(std::size_t used, std::size_t found) {
    constexpr std::size_t kLeast = 4;
    const std::size_t begun = used > 0 ? used + 1 : 0;
    if (found < begun + kLeast) return 0;
    match_.divided = found - begun;
    return found;
  }

  // `found`: of a cut with ends, so many positions are known in all rows.
  void Divide(std::size_t rows, std::size_t used, std::size_t found) {
    const std::size_t divided = DividedAt(used, found);
    match_.sources.resize(units_.count);
    match_.hits.reserve(rows * used);
    EqualKeys equal(keys_);
    for (std::size_t unit = 0; unit < units_.count; ++unit) {
      WantEnds(unit, divided);
      // Of equal rows one is stored.
      if (equal.FirstEqual(unit) != unit && flags_[unit] != kVerify) flags_[unit] = kKept;
      if (unit % units_.length >= used) {
        const bool divides = divided > 0 && unit % units_.length + 1 == divided;
        unsigned flags = flags_[unit];
        if (divides) flags |= kDivides;
        match_.Miss(unit, keys_[unit], static_cast<std::uint8_t>(flags));
        continue;
      }
      match_.saved_ns += entries_[unit]->cost_ns();
      match_.sources[unit] = RowSource::Cached(match_.hits.size());
      match_.hits.push_back(std::move(entries_[unit]));
    }
    match_.tail = units_.tail;
    match_.handed_out = {rows, used};
  }

  const Keys& keys_;
  const Units& units_;
  const bool refresh_;
  Match match_;
  EntrySearch search_;
  const Entry* first_ = nullptr;         // in entries_
  std::optional<bool> drawn_;            // whether the call is verified; not asked before a hit
  std::vector<EntryRef> entries_;        // of all units; null where there is none to use
  SmallVector<std::uint8_t, 64> flags_;  // of all units, should they be computed
};

}  // namespace

Match FindChains(Store& store, const Keys& keys, const Units& units, const ElementTypes& types,
                 const LookupRules& rules) {
  return ChainSearch(store, keys, units, types, rules).Run();
}

}  // namespace actcache
