// CacheStore: puts the complete live-outs together from found and computed rows, and publishes what
// was computed. Stands in the branch that runs when something is missing.
//
// inputs:  plan      of the region's CacheLookup
//          cached    one per live-out, from CacheLookup
//          computed  one per live-out, from the region's nodes on the compact rows
// outputs: the complete live-outs
// attributes: region_attributes.h
#ifndef ACTCACHE_OPS_CACHE_STORE_H_
#define ACTCACHE_OPS_CACHE_STORE_H_

#include <string>
#include <vector>

#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "ops/session.h"
#include "policy/origins.h"
#include "region/registry.h"
#include "store/store.h"
#include "units/plan.h"
#include "units/row_layout.h"

namespace actcache {

// The kernel of one node. Holds no state of any call; Compute() may run on several threads at once.
class CacheStore {
 public:
  static constexpr const char* kName = "CacheStore";

  // Throws ort::Error.
  CacheStore(const ort::Api* api, const ort::KernelInfo* info, const SessionSettings& session);

  // Throws ort::Error if onnxruntime fails, if the plan is not CacheLookup's, or if computed rows
  // do not fit the cached ones. That the store takes nothing is never an error.
  void Compute(ort::KernelContext* context) const;

 private:
  struct Call;
  struct Rows;
  enum class Outcome : char;  // of a computed row

  void ReadPlan(const KernelIo& io, Call& call) const;
  // What is wrong with live-out i of a row call; "" if its rows can be merged and stored.
  std::string CheckRows(const Call& call, std::size_t i) const;
  void WriteComputed(const KernelIo& io, const Call& call, const Parallel& parallel) const;
  void WriteMerged(const KernelIo& io, const Call& call, const Parallel& parallel) const;
  Rows RowsOf(const Call& call) const;
  // What becomes of each computed row: it is stored, or compared with its entry.
  void Keep(const KernelIo& io, Call& call, const Parallel& parallel) const;
  Outcome Publish(const Call& call, const Rows& rows, std::size_t row,
                  const Parallel& parallel) const;
  // Largest relative difference that counts as equal.
  double tolerance() const;
  Outcome Verify(const KernelIo& io, const Call& call, const Rows& rows, std::size_t row) const;
  // After a row that differs from what another session stored.
  void KeepApart(const KernelIo& io, Origin origin, double difference) const;
  void Audit(const Call& call) const;

  const ort::Api* api_;
  const SessionSettings session_;
  const RegionAttributes attributes_;
  Region& region_;
  std::vector<std::string> names_;  // of the computed live-outs, for messages
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_CACHE_STORE_H_
