#include "units/match.h"

#include <algorithm>

#include "base/clock.h"

namespace actcache {
namespace {

// Finds the earlier row with the same key. Few rows are compared one by one; many go through an
// open table of row numbers (a key is uniform already, so any word of it is a hash).
class EarlierRows {
 public:
  explicit EarlierRows(const Keys& keys) : keys_(keys) {
    if (keys.size() <= kLinear) return;
    std::size_t slots = 64;
    while (slots < 2 * keys.size()) slots *= 2;
    table_.assign(slots, 0);
  }

  // The first row with the key of `row`: `row` itself if there is none before it.
  std::size_t FirstEqual(std::size_t row) {
    if (table_.empty()) {
      std::size_t i = 0;
      while (keys_[i] != keys_[row]) ++i;
      return i;
    }
    const std::size_t mask = table_.size() - 1;
    for (std::size_t slot = keys_[row].words[1] & mask;; slot = (slot + 1) & mask) {
      if (table_[slot] == 0) {
        table_[slot] = static_cast<std::uint32_t>(row) + 1;
        return row;
      }
      if (keys_[table_[slot] - 1] == keys_[row]) return table_[slot] - 1;
    }
  }

 private:
  static constexpr std::size_t kLinear = 16;
  const Keys& keys_;
  std::vector<std::uint32_t> table_;  // row + 1, or 0
};

bool Fits(const Entry& entry, const Cut& cut, const ElementTypes& types) {
  if (entry.tensor_count() != types.size()) return false;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (entry.dtype(i) != static_cast<std::int32_t>(types[i])) return false;
    const DimsView dims = entry.dims(i);
    if (!cut.output(i).IsIn(dims.rank + 1)) return false;
    std::size_t elements = 1;
    for (const std::int64_t dim : dims) elements *= static_cast<std::size_t>(dim);
    if (elements * (ElementBits(types[i]) / 8) != entry.bytes(i)) return false;
  }
  return true;
}

bool SameShapes(const Entry& a, const Entry& b) {
  for (std::size_t i = 0; i < a.tensor_count(); ++i) {
    const DimsView x = a.dims(i);
    const DimsView y = b.dims(i);
    if (x.rank != y.rank || !std::equal(x.begin(), x.end(), y.begin())) return false;
  }
  return true;
}

// One call of FindRows().
class Search {
 public:
  Search(Store& store, const Cut& cut, const ElementTypes& types, const LookupRules& rules)
      : store_(store),
        cut_(cut),
        types_(types),
        rules_(rules),
        miss_ends_hits_(cut.miss_ends_hits()) {}

  // Looks row `row`, the first with its key, up.
  void Add(std::size_t row, const Key& key) {
    if (rules_.refresh) {
      Miss(row, key, kReplace);
      return;
    }
    Absence absence = Absence::kNone;
    EntryRef entry = store_.Find(key, rules_.limits, &absence);
    if (!entry) entry = Beside(key);
    if (!entry) {
      const bool expired = absence != Absence::kAbsent;
      if (expired) ++match_.expired;
      const unsigned replace = absence == Absence::kTooOld ? kReplace : 0;
      Miss(row, key, static_cast<std::uint8_t>(replace | (expired ? kExpired : 0)));
    } else if (!Usable(*entry)) {
      Miss(row, key, kReplace);
    } else if (!Trusted(*entry)) {
      // Who made it and keeps to itself since has left it behind.
      const bool left = origins_.IsApart(entry->origin());
      if (!left) {
        ++match_.verified;
        ++match_.compared;
      }
      Miss(row, key, left ? kReplace : kVerify);
    } else if (rules_.verify_share > 0 && rules_.verified->Pick(rules_.verify_share)) {
      ++match_.verified;
      Miss(row, key, kVerify);
    } else {
      match_.saved_ns += entry->cost_ns();
      match_.sources[row] = RowSource::Cached(match_.hits.size());
      match_.hits.push_back(std::move(entry));
    }
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

  Match Run(const Keys& keys) {
    match_.sources.resize(keys.size());
    match_.hits.reserve(keys.size());
    EarlierRows earlier(keys);
    for (std::size_t row = 0; row < keys.size(); ++row) {
      const std::size_t first = earlier.FirstEqual(row);
      if (first == row && miss_ends_hits_ && match_.any_miss()) {
        Miss(row, keys[row], 0);
      } else if (first == row) {
        Add(row, keys[row]);
      } else {
        AddEqual(row, first);
      }
    }
    return std::move(match_);
  }

 private:
  EntryRef Beside(const Key& key) const {
    if (rules_.beside == nullptr) return {};
    for (const EntryRef& entry : *rules_.beside) {
      if (entry->key() == key) return entry;
    }
    return {};
  }

  bool Usable(const Entry& entry) const {
    return Fits(entry, cut_, types_) &&
           (match_.hits.empty() || SameShapes(entry, *match_.hits.front()));
  }

  bool Trusted(const Entry& entry) const {
    return entry.origin() == rules_.origin ||
           origins_.ClassOf(entry.origin()) == origins_.ClassOf(rules_.origin);
  }

  void Miss(std::size_t row, const Key& key, std::uint8_t flags) {
    match_.sources[row] = RowSource::Computed(match_.missing.size());
    match_.missing.push_back(static_cast<std::uint32_t>(row));
    match_.missing_keys.push_back(key);
    match_.missing_flags.push_back(flags);
  }

  Store& store_;
  const Cut& cut_;
  const ElementTypes& types_;
  const LookupRules& rules_;
  const bool miss_ends_hits_;
  const Origins& origins_ = Origins::Process();
  Match match_;
};

}  // namespace

Match FindUnits(Store& store, const Keys& keys, const Cut& cut, const ElementTypes& types,
                const LookupRules& rules) {
  return Search(store, cut, types, rules).Run(keys);
}

}  // namespace actcache
