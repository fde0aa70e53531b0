#include "units/entry_search.h"

#include <algorithm>

#include "base/clock.h"

namespace actcache {
namespace {

bool Fits(const Entry& entry, const Cut& cut, const ElementTypes& types) {
  if (entry.tensor_count() != types.size()) return false;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (entry.dtype(i) != static_cast<std::int32_t>(types[i])) return false;
    const DimsView dims = entry.dims(i);
    if (!cut.output(i).IsUnit(dims, dims.rank)) return false;
    std::size_t elements = 1;
    for (const std::int64_t dim : dims) elements *= static_cast<std::size_t>(dim);
    if (elements * (ElementBits(types[i]) / 8) != entry.bytes(i)) return false;
  }
  return true;
}

bool SameDims(const Entry& one, const Entry& other, std::size_t i) {
  const DimsView a = one.dims(i);
  const DimsView b = other.dims(i);
  return a.rank == b.rank && std::equal(a.begin(), a.end(), b.begin());
}

}  // namespace

EntrySearch::Found EntrySearch::Look(const Key& key, const Entry* first, double* before) {
  if (rules_.refresh) return {{}, kReplace};
  Absence absence = Absence::kNone;
  EntryRef entry = store_.Find(key, rules_.limits, &absence, before);
  if (!entry) entry = Beside(key);
  if (!entry) {
    const bool expired = absence != Absence::kAbsent;
    if (expired) ++match_.expired;
    const unsigned replace = absence == Absence::kTooOld ? kReplace : 0;
    return {{}, static_cast<std::uint8_t>(replace | (expired ? kExpired : 0))};
  }
  if (!Usable(*entry, first)) return {{}, kReplace};
  if (Trusted(*entry)) return {std::move(entry), 0};
  // Who made it and keeps to itself since has left it behind.
  if (origins_.IsApart(entry->origin())) return {{}, kReplace};
  ++match_.verified;
  ++match_.compared;
  return {{}, kVerify};
}

EntryRef EntrySearch::Beside(const Key& key) const {
  if (rules_.beside == nullptr) return {};
  for (const EntryRef& entry : *rules_.beside) {
    if (entry->key() == key) return entry;
  }
  return {};
}

bool EntrySearch::Usable(const Entry& entry, const Entry* first) const {
  if (first != nullptr && !cut_.has_ends()) return entry.SameTensors(*first);
  if (!Fits(entry, cut_, types_)) return false;
  for (std::size_t i = 0; first != nullptr && i < cut_.first_end(); ++i) {
    if (!SameDims(entry, *first, i)) return false;
  }
  return true;
}

bool EntrySearch::HasEnds(const Entry& entry) const {
  for (std::size_t i = cut_.first_end(); i < entry.tensor_count(); ++i) {
    if (entry.bytes(i) == 0) return false;
  }
  return true;
}

bool EntrySearch::Trusted(const Entry& entry) const {
  return entry.origin() == rules_.origin ||
         origins_.ClassOf(entry.origin()) == origins_.ClassOf(rules_.origin);
}

}  // namespace actcache
