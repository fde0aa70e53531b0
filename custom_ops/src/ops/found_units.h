// Puts units together that were found: copies them out of their entries.
#ifndef ACTCACHE_OPS_FOUND_UNITS_H_
#define ACTCACHE_OPS_FOUND_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/small_vector.h"
#include "store/entry_ref.h"
#include "units/call_plan.h"
#include "units/parallel.h"
#include "units/tensor_view.h"
#include "units/window.h"

namespace actcache {

using Sources = SmallVector<RowSource, 16>;

// A live-out of units that are put together.
struct FoundTensor {
  std::size_t live_out;
  ElementType type;
  Dims dims;
  Window window;  // where its units lie
};

// Where a live-out's units are copied to.
struct FoundTarget {
  std::size_t live_out;
  std::byte* data;
  Window window;
};
using FoundTargets = SmallVector<FoundTarget, 4>;

// Which entry has a unit of the targets.
struct FoundPlace {
  std::uint32_t entry;
  std::uint32_t unit;
};
using FoundPlaces = SmallVector<FoundPlace, 16>;

// The first `count` units are those of the entries, in order.
FoundPlaces InOrder(std::size_t count);
// Unit n is that of the entry that sources[n] says. REQUIRES: all units were found.
FoundPlaces PlacesOf(const Sources& sources);

// Copies units into all targets. REQUIRES: all entries have the tensors that the targets name, of
// the windows' sizes; all places are in both. May throw std::bad_alloc, before it copies.
void CopyFound(const Parallel& parallel, const std::vector<EntryRef>& entries,
               const FoundPlaces& places, const FoundTargets& targets);

}  // namespace actcache

#endif  // ACTCACHE_OPS_FOUND_UNITS_H_
