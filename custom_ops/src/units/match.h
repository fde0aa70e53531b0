// Looks the keys of a call up and decides where each of its rows comes from.
#ifndef ACTCACHE_UNITS_MATCH_H_
#define ACTCACHE_UNITS_MATCH_H_

#include <cstddef>
#include <vector>

#include "base/sampler.h"
#include "base/small_vector.h"
#include "policy/origins.h"
#include "store/entry.h"
#include "store/store.h"
#include "units/call_plan.h"
#include "units/cut.h"
#include "units/keying.h"

namespace actcache {

// How a call looks its rows up.
struct LookupRules {
  FindLimits limits;
  double verify_share = 0;      // of the hits that are computed all the same, to be compared
  Sampler* verified = nullptr;  // picks them; REQUIRED if the share is not 0
  Origin origin = 0;            // of who asks; entries of other classes are compared, not used
  bool refresh = false;         // look nothing up: what is computed takes the place of what is kept
  // Found elsewhere for this call: used where the store has nothing.
  const std::vector<EntryRef>* beside = nullptr;
};

// What is known of a call after its lookup. Holds references to the entries that were hit, so it
// lives only inside the kernel call.
struct Match {
  SmallVector<RowSource, 16> sources;           // per row
  UnitNumbers missing;                          // rows to compute, in order; equal rows once
  Keys missing_keys;                            // their keys
  SmallVector<std::uint8_t, 16> missing_flags;  // their MissingFlags
  std::vector<EntryRef> hits;                   // of the unique rows found, in row order
  std::size_t duplicates = 0;  // rows equal to an earlier one that is to be computed
  std::size_t expired = 0;     // rows whose entry was too old
  std::size_t verified = 0;    // rows that were found, and are computed to be compared
  std::size_t compared = 0;    // those of them that another session had made
  std::uint64_t saved_ns = 0;  // recompute time of the rows found in the store

  std::size_t tail = 0;  // the call's Units::tail, if its units were looked up
  // If the cut has ends: per row of the batch the entry with those of the position behind `hits`.
  // Empty: none are known, and nothing is used. Where nothing is missing: those of the last
  // position, if they are handed on.
  std::vector<EntryRef> ends;
  // So many positions behind those with ends are known as well, in all rows, and followed by
  // others: the region tells the ends behind them, too. 0: there are none.
  std::size_t divided = 0;
  // The units that are handed out: without a miss the complete results, else what was found.
  UnitGrid handed_out;

  bool any_miss() const { return !missing.empty() || tail > 0; }
  // Adds a unit to compute.
  void Miss(std::size_t unit, const Key& key, std::uint8_t flags);
  // Rows without a usable entry.
  std::size_t absent() const { return missing.size() - verified + duplicates; }
};

// Looks up the units of a call; `types` are the live-outs'. An entry that does
// not fit them, or whose shapes differ from the first hit's, counts as missing, and what is
// computed takes its place.
Match FindUnits(Store& store, const Keys& keys, const Units& units, const ElementTypes& types,
                const LookupRules& rules);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_MATCH_H_
