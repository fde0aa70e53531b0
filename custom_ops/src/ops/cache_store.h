// CacheStore: puts the complete live-outs together from found and computed units, and publishes
// what was computed. What CacheLookup has handed over is copied straight from the entries. Stands
// in the branch that runs when something is missing. States, the last of the live-outs, are kept in
// entries alone: nothing is put together of them.
//
// inputs:  plan      of the region's CacheLookup
//          cached    one per live-out, from CacheLookup
//          computed  one per live-out, from the region's nodes on what was to be computed
// outputs: the complete live-outs; a model may have outputs without a name for states
// attributes: region_attributes.h
#ifndef ACTCACHE_OPS_CACHE_STORE_H_
#define ACTCACHE_OPS_CACHE_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "ops/found_units.h"
#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "ops/session.h"
#include "ops/unit_keeper.h"
#include "region/registry.h"
#include "units/cut.h"

namespace actcache {

// The kernel of one node. Holds no state of any call; Compute() may run on several threads at once.
class CacheStore {
 public:
  static constexpr const char* kName = "CacheStore";

  // Throws ort::Error.
  CacheStore(const ort::Api* api, const ort::KernelInfo* info, const SessionSettings& session);

  // Throws ort::Error if onnxruntime fails, if the plan is not CacheLookup's, or if computed units
  // do not fit the cached ones. That the store takes nothing is never an error.
  void Compute(ort::KernelContext* context) const;

 private:
  struct Call;

  void ReadPlan(const KernelIo& io, Call& call) const;
  void ReadLiveOuts(const KernelIo& io, Call& call) const;
  // What is wrong with live-out i; "" if its units can be merged and stored.
  std::string Problem(const Call& call, std::size_t i) const;
  // Whether the live-outs have the units that were to be computed. Throws ort::Error if the results
  // cannot be put together without.
  bool Check(const Call& call) const;
  // The complete live-outs.
  void Write(const KernelIo& io, const Call& call, const Parallel& parallel) const;
  // Copies what the lookup has left to this kernel out of the entries.
  void Fetch(const Call& call, const FoundTargets& targets, const Parallel& parallel) const;
  // What a unit costs, and what the call has saved by computing equal ones once.
  void Appraise(Call& call) const;
  void Audit(const Call& call) const;

  const ort::Api* api_;
  const SessionSettings session_;
  const RegionAttributes attributes_;
  const std::unique_ptr<const Cut> cut_;
  Region& region_;
  const UnitKeeper keeper_;
  std::vector<std::string> names_;  // of the computed live-outs, for messages
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_CACHE_STORE_H_
