// What a lookup writes for the rest of the graph: the units that were found, and those to
// compute.
#ifndef ACTCACHE_OPS_LOOKUP_OUTPUTS_H_
#define ACTCACHE_OPS_LOOKUP_OUTPUTS_H_

#include <cstddef>
#include <vector>

#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "units/cut.h"
#include "units/match.h"
#include "units/parallel.h"

namespace actcache {

// Of one call, on the stack of its kernel. Refers to all it is given. Throws ort::Error.
struct LookupOutputs {
  const KernelIo& io;
  const Parallel& parallel;
  const RegionAttributes& attributes;
  const Cut& cut;      // the region's own
  const Units& units;  // of the call
  const Match& match;  // empty for a pass

  // `cached`: without a miss the complete results, with one what CacheStore merges.
  void WriteCached() const;
  // `compact`: the missing units of the inputs that the region's cut divides, as many as
  // Cut::Computed() says; everything where nothing was found.
  void WriteCompact(const std::vector<TensorView>& inputs) const;

 private:
  // Units `which` of an input, in that order.
  void WriteSome(std::size_t output, std::size_t input, const TensorView& from,
                 const SmallVector<std::uint32_t, 16>& which) const;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_LOOKUP_OUTPUTS_H_
