// CacheLookup: looks the rows of a region's frontier up and hands out what is known of its
// live-outs, together with the rows that still have to be computed.
//
// inputs:  the frontier (any number of tensors, any types); then, if the model was compiled with
//          them, the call's namespace and its control word (per_call.h)
// outputs: any_miss  bool []
//          plan      uint8 [P], for CacheStore (plan.h)
//          cached    one per live-out: all rows if there is no miss; else the rows that were
//                    found, in row order; shape [0] if none was
//          compact   one per input with a row axis: the rows to compute, equal ones once, filled
//                    up by repeating the last (computed_rows.h); without a miss, zero rows
//          account   int64 [1, 3], if the model was compiled with it (per_call.h)
// attributes: region_attributes.h
#ifndef ACTCACHE_OPS_CACHE_LOOKUP_H_
#define ACTCACHE_OPS_CACHE_LOOKUP_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "flight/single_flight.h"
#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "ops/session.h"
#include "ops/session_constants.h"
#include "policy/origins.h"
#include "region/registry.h"
#include "units/match.h"
#include "units/row_keys.h"

namespace actcache {

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
  struct KeyBases {
    KeyBase blake3;
    KeyBase xxh3;
  };

  // `session` as for KeyBase.
  KeyBases MakeBases(const std::string& session) const;
  // What keys start from in this session. The first call makes them, when all kernels are there.
  const KeyBases& bases(const KernelIo& io) const;
  const KeyBase& base(HashKind kind, const KernelIo& io) const;
  // Made when they are first needed. May throw std::bad_alloc.
  const KeyBases& OwnBases() const;
  // Whether nothing is to be looked up.
  bool Off() const;
  // How the call is looked up, and its number of rows.
  void Classify(Call& call) const;
  // Whose entries the call reads and makes; a pass if there are too many namespaces.
  void ChooseNamespace(Call& call) const;
  // Asks the region's policy how the call goes: it may become a pass.
  void Consult(Call& call) const;
  // Tells the policy how it went, and which rows there were: last, when reading them costs least.
  void Report(const Call& call) const;
  void Find(Call& call, SingleFlight& flight, const KernelIo& io, const Parallel& parallel) const;
  // Looks the keys up, after waiting for those that other calls compute.
  void Search(Call& call, std::uint64_t start_ns, SingleFlight& flight) const;
  void Count(const Call& call) const;
  // Tells the audit log, if it is on, and gives the call its number there.
  void Audit(Call& call) const;
  void WritePlan(const KernelIo& io, const Call& call, SingleFlight& flight) const;

  const ort::Api* api_;
  const SessionSettings session_;
  const RegionAttributes attributes_;
  Region& region_;
  const std::optional<std::uint32_t> name_space_;  // none: nothing is cached
  const Axes no_input_axes_;   // all -1, for calls that are looked up as a whole
  const Axes no_output_axes_;  // likewise
  const std::shared_ptr<SessionConstants> constants_;
  mutable std::once_flag bases_made_;
  mutable std::optional<KeyBases> bases_;
  const Origin origin_;
  mutable std::atomic<const KeyBases*> own_bases_{nullptr};  // once it keeps to itself
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_CACHE_LOOKUP_H_
