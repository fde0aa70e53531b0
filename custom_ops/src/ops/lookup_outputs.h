// What a lookup writes for the rest of the graph: the units that were found, and those to
// compute.
#ifndef ACTCACHE_OPS_LOOKUP_OUTPUTS_H_
#define ACTCACHE_OPS_LOOKUP_OUTPUTS_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "ops/found_units.h"
#include "ops/hand_over_table.h"
#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "units/cut.h"
#include "units/match.h"
#include "units/parallel.h"
#include "units/window.h"

namespace actcache {

// Of one call, on the stack of its kernel. Refers to all it is given. Throws ort::Error.
struct LookupOutputs {
  const KernelIo& io;
  const Parallel& parallel;
  const RegionAttributes& attributes;
  const Cut& cut;      // the region's own
  const Units& units;  // of the call
  const Match& match;  // empty for a pass

  // `cached`: without a miss the complete results, with one what CacheStore merges. States, which
  // nobody reads without a miss, are empty then; and so is what was handed over.
  void WriteCached(const std::vector<TensorView>& inputs, bool handed_over) const;
  // Bytes that WriteCached() copies out of entries of all positions; how many of them the branch
  // may copy instead.
  std::size_t FoundBytes() const;
  std::size_t BytesForBranch() const;
  // What the branch may copy. REQUIRES: something was found.
  std::unique_ptr<HandedOver> ForBranch() const;
  // `compact`: what is to be computed of the inputs that the region's cut divides along a splice
  // axis (Cut::ToCompute()); everything where nothing was found.
  void WriteCompact(const std::vector<TensorView>& inputs) const;
  // Where the region is to tell its ends besides, if it has some.
  void WriteDivided() const;

 private:
  // How many of the live-outs WriteCached() copies out of entries of all positions.
  std::size_t cached() const;
  // Whether the branch may copy what was found of a live-out.
  bool IsForBranch(std::size_t live_out) const;
  // Of all units that are handed out, in those live-outs.
  template <typename Counts>
  std::size_t BytesOf(const Counts& counts) const;
  // What the entries hold, as the store counts it.
  std::size_t HeldBytes() const;
  // Of what was found of a live-out. REQUIRES: something was.
  FoundTensor Found(std::size_t live_out) const;
  // Ends: those of one position, if they are known.
  void WriteEnds(std::size_t live_out, std::size_t rows) const;
  // Of the batch, as far as the inputs say.
  std::size_t RowsOf(const std::vector<TensorView>& inputs) const;
  void WriteRuns(std::size_t output, std::size_t input, const TensorView& from,
                 const Runs& runs) const;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_LOOKUP_OUTPUTS_H_
