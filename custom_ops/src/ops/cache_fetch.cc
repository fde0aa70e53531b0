#include "ops/cache_fetch.h"

#include <memory>
#include <string>

#include "audit/audit_log.h"
#include "base/clock.h"
#include "ops/take_found.h"
#include "units/window.h"

namespace actcache {

CacheFetch::CacheFetch(const ort::Api* api, const ort::KernelInfo* info, const SessionSettings&)
    : api_(api),
      attributes_(ReadFetchAttributes(api, info)),
      region_(Registry::Process().InternRegion(attributes_.region, attributes_.fingerprint)) {}

void CacheFetch::Compute(ort::KernelContext* context) const {
  const std::uint64_t start = SteadyNow();
  const KernelIo io(api_, context);
  const Parallel parallel(api_, context);
  const std::unique_ptr<HandedOver> found = TakeFound(ReadPlan(io), region_, attributes_);
  if (found == nullptr) return HandOn(io, parallel);
  Write(io, parallel, *found);
  const std::uint64_t end = SteadyNow();
  Account(*found, end - start, end);
}

CallPlan CacheFetch::ReadPlan(const KernelIo& io) const {
  const TensorView tensor = io.Input(0);
  CallPlan plan;
  const char* problem = tensor.type == ElementType::kUint8
                            ? DecodePlan(tensor.data, tensor.bytes, region_.number, &plan)
                            : "it is not uint8";
  if (problem == nullptr && plan.any_miss()) problem = "something is missing";
  if (problem == nullptr) return plan;
  throw ort::Error(ort::ErrorCode::kInvalidArgument,
                   "actcache: region \"" + attributes_.region + "\": bad plan: " + problem);
}

void CacheFetch::HandOn(const KernelIo& io, const Parallel& parallel) const {
  for (std::size_t i = 0; i < attributes_.output_types.size(); ++i) {
    const TensorView cached = io.Input(1 + i);
    const KernelIo::Output output = io.Allocate(i, cached.type, cached.dims);
    if (output.data != nullptr) CopyAll(parallel, cached.data, output.data, cached.bytes);
  }
}

void CacheFetch::Write(const KernelIo& io, const Parallel& parallel,
                       const HandedOver& found) const {
  FoundTargets targets;
  for (const FoundTensor& tensor : found.tensors) {
    const std::size_t i = tensor.live_out;
    const KernelIo::Output output = io.Allocate(i, tensor.type, tensor.dims);
    if (output.data != nullptr) targets.push_back({i, output.data, tensor.window});
  }
  CopyFound(parallel, found.entries, PlacesOf(found.sources), targets);
}

void CacheFetch::Account(const HandedOver& found, std::uint64_t copy_ns,
                         std::uint64_t now_ns) const {
  RegionCounters::Add(region_.counters.copy_ns, copy_ns);
  RegionCounters::Add(region_.counters.overhead_ns, copy_ns);
  TellCopied(region_, found, copy_ns);
  if (found.call == 0) return;
  const AuditLog::Slot<CopyRecord> slot(AuditLog::Process());
  if (!slot) return;
  slot->now_ns = now_ns;
  slot->call = found.call;
  slot->copy_ns = copy_ns;
  slot->region = region_.number;
}

}  // namespace actcache
