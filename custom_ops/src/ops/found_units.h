// Puts units together that were found: copies them out of their entries.
#ifndef ACTCACHE_OPS_FOUND_UNITS_H_
#define ACTCACHE_OPS_FOUND_UNITS_H_

#include <cstddef>
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

// Copies as many units as the windows have into all targets: unit n is that of the entry that
// sources[n] says, or of entry n if there are no `sources`. REQUIRES: all entries have the tensors
// that the targets name, of the windows' sizes. May throw std::bad_alloc, before it copies.
void CopyFound(const Parallel& parallel, const std::vector<EntryRef>& entries,
               const RowSource* sources, std::size_t units, const FoundTargets& targets);

}  // namespace actcache

#endif  // ACTCACHE_OPS_FOUND_UNITS_H_
