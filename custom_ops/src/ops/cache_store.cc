#include "ops/cache_store.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "audit/audit_log.h"
#include "ops/row_outcomes.h"
#include "ops/session_constants.h"
#include "ops/take_found.h"
#include "units/call_plan.h"
#include "units/computed_units.h"
#include "units/parallel.h"
#include "units/runs.h"
#include "units/window.h"

namespace actcache {
namespace {

// Ends a flight at the end of a scope.
class FlightEnd {
 public:
  explicit FlightEnd(FlightToken flight) : flight_(flight) {}
  ~FlightEnd() { FlightTable::Process().End(flight_); }
  FlightEnd(const FlightEnd&) = delete;
  FlightEnd& operator=(const FlightEnd&) = delete;

 private:
  const FlightToken flight_;
};

std::vector<std::string> ComputedNames(const ort::Api* api, const ort::KernelInfo* info,
                                       std::size_t live_outs) {
  std::vector<std::string> names;
  names.reserve(live_outs);
  for (std::size_t i = 0; i < live_outs; ++i) {
    names.push_back(ort::ReadString(api, [&](char* out, std::size_t* size) {
      return ort::slot::KernelInfo_GetInputName(api, info, 1 + live_outs + i, out, size);
    }));
  }
  return names;
}

std::string ShapeText(const Dims& dims) {
  std::string text = "[";
  for (const std::int64_t dim : dims) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dim);
  }
  return text + "]";
}

}  // namespace

// One call, on the stack of Compute().
struct CacheStore::Call {
  std::uint64_t start_ns = SteadyNow();
  std::optional<LoggedCall> recorded;  // in a replay
  TensorView plan_tensor;
  CallPlan plan;                      // points into plan_tensor
  const Cut* cut = nullptr;           // by which it is divided
  Splice splice{};                    // how the results are put together; not of a pass
  std::unique_ptr<HandedOver> found;  // what the lookup has left to this kernel; may be null
  std::vector<TensorView> cached;
  std::vector<TensorView> computed;
  RegionPolicy::EntryCost unit_cost{};
  std::uint64_t compute_ns = 0;
  std::uint64_t copy_ns = 0;
  std::uint64_t saved_ns = 0;  // by computing equal units once
  UnitKeeper::Kept kept;

  // What the lookup has left of a live-out to this kernel; null: nothing.
  const FoundTensor* Left(std::size_t live_out) const {
    if (found == nullptr) return nullptr;
    const auto& tensors = found->tensors;
    const auto left = std::find_if(tensors.begin(), tensors.end(), [&](const FoundTensor& each) {
      return each.live_out == live_out;
    });
    return left == tensors.end() ? nullptr : &*left;
  }
  bool passed() const { return plan.kind == PlanKind::kPass; }
  // Nothing was found and no two units are equal: what was computed is the result, as it is.
  bool complete() const { return passed() || plan.missing == plan.rows; }
  // Whether units were computed; else only what lies behind them was.
  bool has_units() const { return plan.missing > 0; }
  // What the store is told.
  std::uint64_t now_ns() const { return recorded ? recorded->store_ns : start_ns; }
};

CacheStore::CacheStore(const ort::Api* api, const ort::KernelInfo* info,
                       const SessionSettings& session)
    : api_(api),
      session_(session),
      attributes_(ReadStoreAttributes(api, info)),
      cut_(MakeCut(attributes_)),
      region_(Registry::Process().InternRegion(attributes_.region, attributes_.fingerprint)),
      keeper_(region_, attributes_.tolerance, session.ttl_ns),
      names_(ComputedNames(api, info, attributes_.live_outs())) {
  if (const auto constants = SessionConstants::ForStore(attributes_)) {
    constants->Add(api, info, attributes_);
  }
}

void CacheStore::ReadPlan(const KernelIo& io, Call& call) const {
  call.plan_tensor = io.Input(0);
  const TensorView& tensor = call.plan_tensor;
  const char* problem = tensor.type == ElementType::kUint8
                            ? DecodePlan(tensor.data, tensor.bytes, region_.number, &call.plan)
                            : "it is not uint8";
  call.cut = call.plan.kind == cut_->kind() ? cut_.get() : &cut_->whole();
  if (problem == nullptr && !call.passed()) {
    // Such a plan has no sources: after a full hit the other branch has to run.
    if (!call.plan.any_miss()) problem = "nothing was missing";
    if (call.plan.kind != call.cut->kind()) problem = "its calls are divided in another way";
    if (problem == nullptr) problem = call.cut->Problem(call.plan);
  }
  if (problem == nullptr) return;
  throw ort::Error(ort::ErrorCode::kInvalidArgument,
                   "actcache: region \"" + attributes_.region + "\": bad plan: " + problem);
}

void CacheStore::ReadLiveOuts(const KernelIo& io, Call& call) const {
  const std::size_t live_outs = attributes_.live_outs();
  call.cached.reserve(live_outs);
  call.computed.reserve(live_outs);
  for (std::size_t i = 0; i < live_outs; ++i) call.cached.push_back(io.Input(1 + i));
  for (std::size_t i = 0; i < live_outs; ++i) call.computed.push_back(io.Input(1 + live_outs + i));
}

std::string CacheStore::Problem(const Call& call, std::size_t i) const {
  const Dims& computed = call.computed[i].dims;
  const UnitPlace& place = call.cut->output(i);
  const UnitAxis& axis = place.splice();
  const std::string spliced = call.cut->spliced();
  const std::string name_and_shape =
      "live-out \"" + names_[i] + "\" has shape " + ShapeText(computed);
  const std::size_t ends = call.plan.divided() > 0 ? 2 : 1;
  const std::size_t wanted = place.end() ? ends : call.splice.computed;
  if (!place.IsIn(computed) || axis.UnitsIn(computed) != wanted) {
    return name_and_shape + ", but " + std::to_string(wanted) + " " + spliced +
           " were to be computed on axis " + std::to_string(axis.number());
  }
  if (place.positions().divides() && place.rows().divides() &&
      place.rows().UnitsIn(computed) != call.splice.rows) {
    return name_and_shape + ", but the call has " + std::to_string(call.splice.rows) +
           " rows, on axis " + std::to_string(place.rows().number());
  }
  if (call.splice.found == 0 || place.end()) return "";
  const FoundTensor* const left = call.Left(i);
  const Dims& cached = left == nullptr ? call.cached[i].dims : left->dims;
  bool fits = cached == axis.WithUnits(computed, call.splice.found);
  // With units of other sizes the entries would not fit into the results.
  if (fits && left != nullptr) {
    fits = place.In(left->type, cached).unit_bytes() == left->window.unit_bytes();
  }
  if (fits) return "";
  return name_and_shape + ", which does not fit its cached " + spliced + " of shape " +
         ShapeText(cached);
}

bool CacheStore::Check(const Call& call) const {
  std::string problem;
  for (std::size_t i = 0; i < attributes_.live_outs() && problem.empty(); ++i) {
    if (!call.passed()) problem = Problem(call, i);
  }
  if (problem.empty()) return true;
  if (!call.complete()) {
    throw ort::Error(ort::ErrorCode::kFail,
                     "actcache: region \"" + attributes_.region + "\": " + problem + "; its " +
                         call.cut->spliced() +
                         " depend on each other; compile it with --granularity tensor");
  }
  RegionCounters::Add(region_.counters.anomalies, 1);
  return false;
}

void CacheStore::Write(const KernelIo& io, const Call& call, const Parallel& parallel) const {
  FoundTargets targets;
  for (std::size_t i = 0; i < attributes_.handed_on(); ++i) {
    const TensorView& computed = call.computed[i];
    const UnitPlace& place = call.cut->output(i);
    const UnitAxis& axis = place.splice();
    const Dims dims =
        call.complete() ? computed.dims : axis.WithUnits(computed.dims, call.splice.complete);
    const KernelIo::Output output = io.Allocate(i, computed.type, dims);
    if (output.data == nullptr) continue;
    if (call.complete()) {
      CopyAll(parallel, computed.data, output.data, computed.bytes);
      continue;
    }
    RunSource found;
    if (call.Left(i) == nullptr) {
      const Dims cached = axis.WithUnits(computed.dims, call.splice.found);
      found = {call.cached[i].data, axis.In(computed.type, cached)};
    } else {
      targets.push_back({i, output.data, place.In(computed.type, dims)});
    }
    CopyRuns(parallel, call.splice.runs, found, {computed.data, axis.In(computed)}, output.data,
             axis.In(computed.type, dims));
  }
  if (call.found != nullptr) Fetch(call, targets, parallel);
}

void CacheStore::Fetch(const Call& call, const FoundTargets& targets,
                       const Parallel& parallel) const {
  const std::uint64_t start = SteadyNow();
  FoundPlaces places;
  places.reserve(call.plan.cached_rows);
  call.plan.ForEachFound([&](std::size_t unit, std::size_t found) {
    places.push_back({static_cast<std::uint32_t>(found), static_cast<std::uint32_t>(unit)});
  });
  CopyFound(parallel, call.found->entries, places, targets);
  TellCopied(region_, *call.found, SteadyNow() - start);
}

void CacheStore::Appraise(Call& call) const {
  const CallPlan& plan = call.plan;
  call.compute_ns = call.start_ns - std::min(call.start_ns, plan.lookup_end_ns);
  RegionCounters::Add(region_.counters.compute_ns, call.compute_ns);
  call.recorded = region_.logged.Current();
  if (!call.has_units()) return;
  call.unit_cost = call.recorded
                       ? RegionPolicy::EntryCost{call.recorded->cost_ns, call.recorded->fetch_ns}
                       : region_.policy.Computed(plan.shape, plan.missing, call.compute_ns);
  region_.recompute_time.Add(plan.missing, call.compute_ns);
  call.saved_ns = (plan.wanted() - plan.missing) * call.unit_cost.recompute_ns;
  RegionCounters::Add(region_.counters.saved_ns, call.saved_ns);
}

void CacheStore::Compute(ort::KernelContext* context) const {
  const KernelIo io(api_, context);
  const Parallel parallel(api_, context);
  RegionCounters& counters = region_.counters;
  Call call;
  ReadPlan(io, call);
  const FlightEnd flight_end(call.plan.flight);  // whatever happens; after Keep() if it does
  call.found = TakeFound(call.plan, region_, attributes_);  // before anything else may fail
  if (!call.passed()) call.splice = call.cut->SpliceOf(call.plan);
  ReadLiveOuts(io, call);
  const bool divisible = Check(call);
  Write(io, call, parallel);
  call.found.reset();  // so that what is stored may take its room
  if (!call.passed()) Appraise(call);
  const std::uint64_t copy_end = SteadyNow();
  call.copy_ns = copy_end - call.start_ns;
  RegionCounters::Add(counters.copy_ns, call.copy_ns);
  if (!call.passed() && divisible && call.has_units()) {
    call.kept = keeper_.Keep(io,
                             {call.plan, *call.cut, call.computed, call.unit_cost, call.now_ns(),
                              call.recorded ? &call.recorded->stored : nullptr},
                             parallel);
  }
  const std::uint64_t end = SteadyNow();
  RegionCounters::Add(counters.overhead_ns, end - call.start_ns);
  if (call.passed()) return;
  if (!call.recorded && call.has_units()) {
    const std::uint64_t shared_ns = call.kept.shared_ns;
    region_.policy.Published({call.plan.shape, call.plan.missing, end - copy_end - shared_ns,
                              call.saved_ns, shared_ns, call.kept.spared});
  }
  Audit(call);
  AuditRegionState(region_);
}

void CacheStore::Audit(const Call& call) const {
  const CallPlan& plan = call.plan;
  if (plan.call == 0) return;
  const AuditLog::Slot<StoreRecord> slot(AuditLog::Process(), sizeof(StoreRecord) + plan.missing);
  if (!slot) return;
  slot->now_ns = call.now_ns();
  slot->call = plan.call;
  slot->rows = plan.missing;
  slot->stored_bytes = call.kept.stored_bytes;
  slot->compute_ns = call.compute_ns;
  slot->copy_ns = call.copy_ns;
  slot->saved_ns = call.saved_ns;
  slot->cost_ns = call.unit_cost.recompute_ns;
  slot->fetch_ns = call.unit_cost.fetch_ns;
  slot->region = region_.number;
  const auto& outcomes = call.kept.outcomes;
  for (std::size_t i = 0; i < plan.missing; ++i) {
    const bool seen_to = i < outcomes.size();
    slot.rest()[i] = static_cast<std::byte>(seen_to ? outcomes[i] : UnitKeeper::Outcome::kNothing);
  }
}

}  // namespace actcache
