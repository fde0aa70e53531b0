// What a lookup writes for the rest of the graph: the rows that were found, and those to compute.
#ifndef ACTCACHE_OPS_LOOKUP_OUTPUTS_H_
#define ACTCACHE_OPS_LOOKUP_OUTPUTS_H_

#include <cstddef>
#include <vector>

#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "units/match.h"
#include "units/parallel.h"
#include "units/plan.h"

namespace actcache {

// Of one call, on the stack of its kernel. Refers to all it is given. Throws ort::Error.
struct LookupOutputs {
  const KernelIo& io;
  const Parallel& parallel;
  const RegionAttributes& attributes;
  PlanKind kind;
  std::size_t call_rows;  // N
  const Match& match;     // empty for a pass

  // `cached`: without a miss the complete results, with one what CacheStore merges.
  void WriteCached() const;
  // `compact`: the missing rows of the inputs that have rows, as many as ComputedRows() says;
  // everything where nothing was found.
  void WriteCompact(const std::vector<TensorView>& inputs) const;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_LOOKUP_OUTPUTS_H_
