// CacheFetch: gives the results of a call of hits. Stands in the branch that runs when nothing is
// missing. What CacheLookup has handed over is copied from the entries straight into the results;
// else CacheLookup has copied it, and it is handed on.
//
// inputs:  plan      of the region's CacheLookup
//          cached    one per live-out, from CacheLookup
// outputs: the complete live-outs
// attributes: region_attributes.h
#ifndef ACTCACHE_OPS_CACHE_FETCH_H_
#define ACTCACHE_OPS_CACHE_FETCH_H_

#include "ops/hand_over_table.h"
#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "ops/session.h"
#include "region/registry.h"
#include "units/call_plan.h"
#include "units/parallel.h"

namespace actcache {

// The kernel of one node. Holds no state of any call; Compute() may run on several threads at once.
class CacheFetch {
 public:
  static constexpr const char* kName = "CacheFetch";

  // Throws ort::Error.
  CacheFetch(const ort::Api* api, const ort::KernelInfo* info, const SessionSettings& session);

  // Throws ort::Error if onnxruntime fails, if the plan is not CacheLookup's, or if what was handed
  // over is not there any more.
  void Compute(ort::KernelContext* context) const;

 private:
  // The result points into the input.
  CallPlan ReadPlan(const KernelIo& io) const;
  // The results that CacheLookup has copied.
  void HandOn(const KernelIo& io, const Parallel& parallel) const;
  // The results, out of the entries.
  void Write(const KernelIo& io, const Parallel& parallel, const HandedOver& found) const;
  // What copying took, for statistics, policy and audit log.
  void Account(const HandedOver& found, std::uint64_t copy_ns, std::uint64_t now_ns) const;

  const ort::Api* api_;
  const RegionAttributes attributes_;
  Region& region_;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_CACHE_FETCH_H_
