// CacheLookup: looks the units of a call up (the rows of a batch, blocks of positions of each row,
// or the call as a whole) and hands out what is known of the region's live-outs, together with what
// still has to be computed.
//
// inputs:  the frontier (any number of tensors, any types); then, if the model was compiled with
//          them, the call's namespace and its control word (per_call.h)
// outputs: any_miss  bool []
//          plan      uint8 [P], for CacheStore (plan.h)
//          cached    one per live-out: complete if there is no miss; else what was found: rows, in
//                    row order, or the first positions of all rows; if nothing was, shape [0] or
//                    zeros of the rank that output_ranks says; and so, too, if the plan says that
//                    CacheFetch or CacheStore is to copy them (hand_over_table.h)
//          compact   one per input that the region's cut divides along the axis of its parts
//                    (UnitPlace::splice()): those to compute, equal rows once, filled up by
//                    repeating the last (Cut::ToCompute); without a miss, none
//          divided   int64 [1], if there are ends: Match::divided
//          account   int64 [1, 3], if the model was compiled with it (per_call.h)
// attributes: region_attributes.h
#ifndef ACTCACHE_OPS_CACHE_LOOKUP_H_
#define ACTCACHE_OPS_CACHE_LOOKUP_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "flight/single_flight.h"
#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "ops/session.h"
#include "ops/session_keying.h"
#include "policy/origins.h"
#include "region/registry.h"
#include "units/cut.h"
#include "units/match.h"

namespace actcache {

struct LookupOutputs;

// The kernel of one node. Holds no state of any call; Compute() may run on several threads at once.
class CacheLookup {
 public:
  static constexpr const char* kName = "CacheLookup";

  // Throws ort::Error.
  CacheLookup(const ort::Api* api, const ort::KernelInfo* info, const SessionSettings& session);
  ~CacheLookup();
  CacheLookup(const CacheLookup&) = delete;
  CacheLookup& operator=(const CacheLookup&) = delete;

  // Throws ort::Error only if onnxruntime fails or the call's wishes make no sense; any fault of
  // the cache makes the call a pass.
  void Compute(ort::KernelContext* context) const;

 private:
  struct Call;

  // The inputs, what the call says about itself, and its units.
  void Read(const KernelIo& io, Call& call) const;
  // Whether nothing is to be looked up.
  bool Off() const;
  // Decides whether the call passes, and if not looks its units up. Any fault makes it a pass.
  void LookUp(Call& call, SingleFlight& flight, const KernelIo& io, const Parallel& parallel) const;
  // Whose entries the call reads and makes; a pass if there are too many namespaces.
  void ChooseNamespace(Call& call) const;
  // Asks the region's policy how the call goes: it may become a pass.
  void Consult(Call& call) const;
  // Looks the keys up, after waiting for those that other calls compute.
  void Search(Call& call, std::uint64_t start_ns, SingleFlight& flight) const;
  // Leaves copying what was found to the branch, if that is worth it and there is room.
  void HandOverFound(const LookupOutputs& outputs, Call& call) const;
  // What was found, and the units to compute.
  void WriteUnits(const KernelIo& io, Call& call, const Parallel& parallel) const;
  // Asks tiers for what is missing, and searches again if they had some of it.
  void SearchTiers(Call& call, LookupRules& rules) const;
  void Count(const Call& call) const;
  void CountTiers(const Call& call) const;
  // Tells the policy how it went, and which units there were: last, when reading them costs least.
  void Report(const Call& call) const;
  // Tells the audit log, if it is on, and gives the call its number there.
  void Audit(Call& call) const;
  void WritePlan(const KernelIo& io, Call& call, SingleFlight& flight) const;

  const ort::Api* api_;
  const SessionSettings session_;
  const RegionAttributes attributes_;
  const std::unique_ptr<const Cut> cut_;
  Region& region_;
  const std::optional<std::uint32_t> name_space_;  // none: nothing is cached
  const SessionKeying keying_;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_CACHE_LOOKUP_H_
