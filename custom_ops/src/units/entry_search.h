// Looks single keys of a call up, and judges what is found.
#ifndef ACTCACHE_UNITS_ENTRY_SEARCH_H_
#define ACTCACHE_UNITS_ENTRY_SEARCH_H_

#include <cstdint>

#include "policy/origins.h"
#include "store/entry.h"
#include "store/store.h"
#include "units/cut.h"
#include "units/keying.h"
#include "units/match.h"

namespace actcache {

// Of one call, on its thread. Refers to all it is given; counts in `match` what of the entries
// there cannot be used.
class EntrySearch {
 public:
  EntrySearch(Store& store, const Cut& cut, const ElementTypes& types, const LookupRules& rules,
              Match& match)
      : store_(store), cut_(cut), types_(types), rules_(rules), match_(match) {}

  // An entry to use, or none and the MissingFlags of the unit.
  struct Found {
    EntryRef entry;
    std::uint8_t flags = 0;
  };

  // Looks a unit up. `first`: the first entry in use, if there is one; others are of its shapes.
  // `before`: of a chain, as for Store::Find().
  Found Look(const Key& key, const Entry* first, double* before = nullptr);

  // Whether an entry has ends. REQUIRES: it was found here, and the cut has some.
  bool HasEnds(const Entry& entry) const;

  // Whether a hit was drawn to be computed all the same.
  bool Drawn() const {
    return rules_.verify_share > 0 && rules_.verified->Pick(rules_.verify_share);
  }

 private:
  EntryRef Beside(const Key& key) const;
  bool Usable(const Entry& entry, const Entry* first) const;
  bool Trusted(const Entry& entry) const;

  Store& store_;
  const Cut& cut_;
  const ElementTypes& types_;
  const LookupRules& rules_;
  Match& match_;
  const Origins& origins_ = Origins::Process();
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_ENTRY_SEARCH_H_
