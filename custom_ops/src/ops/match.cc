#include "ops/match.h"

#include <algorithm>

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

bool Fits(const Entry& entry, const ElementTypes& types, const Axes& axes) {
  if (entry.tensor_count() != types.size()) return false;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (entry.dtype(i) != static_cast<std::int32_t>(types[i])) return false;
    const DimsView dims = entry.dims(i);
    if (axes[i] > static_cast<std::int64_t>(dims.rank)) return false;
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
    if (!std::equal(x.begin(), x.end(), y.begin(), y.end())) return false;
  }
  return true;
}

void AddMissing(Match& match, std::size_t row, const Key& key, std::uint8_t flags) {
  match.sources[row] = RowSource::Computed(match.missing.size());
  match.missing.push_back(static_cast<std::uint32_t>(row));
  match.missing_keys.push_back(key);
  match.missing_flags.push_back(flags);
}

}  // namespace

Match FindRows(Store& store, const Keys& keys, const ElementTypes& types, const Axes& axes) {
  Match match;
  match.sources.resize(keys.size());
  match.hits.reserve(keys.size());
  EarlierRows earlier(keys);
  for (std::size_t row = 0; row < keys.size(); ++row) {
    const std::size_t first = earlier.FirstEqual(row);
    if (first != row) {
      const RowSource source = match.sources[first];
      match.sources[row] = source;
      if (source.cached()) {
        match.saved_ns += match.hits[source.index()]->cost_ns();
      } else {
        ++match.duplicates;
      }
      continue;
    }
    EntryRef entry = store.Find(keys[row]);
    if (entry && Fits(*entry, types, axes) &&
        (match.hits.empty() || SameShapes(*entry, *match.hits.front()))) {
      match.saved_ns += entry->cost_ns();
      match.sources[row] = RowSource::Cached(match.hits.size());
      match.hits.push_back(std::move(entry));
    } else {
      AddMissing(match, row, keys[row], 0);
    }
  }
  return match;
}

Match RefreshRows(const Keys& keys) {
  Match match;
  match.sources.resize(keys.size());
  EarlierRows earlier(keys);
  for (std::size_t row = 0; row < keys.size(); ++row) {
    const std::size_t first = earlier.FirstEqual(row);
    if (first == row) {
      AddMissing(match, row, keys[row], kReplace);
    } else {
      match.sources[row] = match.sources[first];
      ++match.duplicates;
    }
  }
  return match;
}

}  // namespace actcache
