#include "ops/cache_store.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "audit/audit_log.h"
#include "base/small_vector.h"
#include "config/config.h"
#include "ops/row_outcomes.h"
#include "ops/session_constants.h"
#include "units/computed_rows.h"
#include "units/parallel.h"
#include "units/verification.h"

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

// The letters are the audit log's (docs/audit.md).
enum class CacheStore::Outcome : char {
  kStored = 's',
  kRefused = 'r',  // not worth it, or no room
  kPresent = 'p',
  kEqual = '=',      // to its entry
  kDifferent = 'x',  // from its entry
  kNothing = 'n',    // it cannot be an entry, or what it was to be compared with is gone
};

// One call, on the stack of Compute().
struct CacheStore::Call {
  std::uint64_t start_ns = SteadyNow();
  std::optional<RecordedCall> recorded;  // in a replay
  TensorView plan_tensor;
  Plan plan;  // points into plan_tensor
  std::vector<TensorView> cached;
  std::vector<TensorView> computed;
  RegionPolicy::EntryCost row_cost{};
  std::uint64_t compute_ns = 0;
  std::uint64_t copy_ns = 0;
  std::uint64_t saved_ns = 0;  // by computing equal rows once
  std::uint64_t stored_bytes = 0;
  SmallVector<Outcome, 64> outcomes;  // of the computed rows, as far as they were seen to

  // What the store is told.
  std::uint64_t now_ns() const { return recorded ? recorded->store_ns : start_ns; }
};

CacheStore::CacheStore(const ort::Api* api, const ort::KernelInfo* info,
                       const SessionSettings& session)
    : api_(api),
      session_(session),
      attributes_(ReadStoreAttributes(api, info)),
      region_(Registry::Process().InternRegion(attributes_.region, attributes_.fingerprint)),
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
  // Such a plan has no sources: after a full hit the other branch has to run.
  if (problem == nullptr && call.plan.kind != PlanKind::kPass && call.plan.missing == 0) {
    problem = "nothing was missing";
  }
  if (problem == nullptr) return;
  throw ort::Error(ort::ErrorCode::kInvalidArgument,
                   "actcache: region \"" + attributes_.region + "\": bad plan: " + problem);
}

std::string CacheStore::CheckRows(const Call& call, std::size_t i) const {
  const TensorView& computed = call.computed[i];
  const auto axis = static_cast<std::size_t>(attributes_.output_row_axes[i]);
  const std::size_t wanted = ComputedRows(call.plan.missing, call.plan.rows, attributes_.min_rows);
  if (axis >= computed.dims.size() || computed.dims[axis] != static_cast<std::int64_t>(wanted)) {
    return "live-out \"" + names_[i] + "\" has shape " + ShapeText(computed.dims) + ", but " +
           std::to_string(wanted) + " rows were to be computed on axis " + std::to_string(axis);
  }
  if (call.plan.cached_rows == 0) return "";
  Dims expected = computed.dims;
  expected[axis] = call.plan.cached_rows;
  if (call.cached[i].dims == expected) return "";
  return "live-out \"" + names_[i] + "\" has shape " + ShapeText(computed.dims) +
         ", which does not fit its cached rows of shape " + ShapeText(call.cached[i].dims);
}

void CacheStore::Compute(ort::KernelContext* context) const {
  const KernelIo io(api_, context);
  const Parallel parallel(api_, context);
  RegionCounters& counters = region_.counters;
  Call call;
  ReadPlan(io, call);
  const FlightEnd flight_end(call.plan.flight);  // whatever happens; after Publish() if it does
  const Plan& plan = call.plan;
  const std::size_t live_outs = attributes_.live_outs();
  call.cached.reserve(live_outs);
  call.computed.reserve(live_outs);
  for (std::size_t i = 0; i < live_outs; ++i) call.cached.push_back(io.Input(1 + i));
  for (std::size_t i = 0; i < live_outs; ++i) call.computed.push_back(io.Input(1 + live_outs + i));

  std::string problem;
  for (std::size_t i = 0; i < live_outs && problem.empty(); ++i) {
    if (plan.kind == PlanKind::kRow) problem = CheckRows(call, i);
  }
  const bool compacted = plan.kind == PlanKind::kRow && plan.missing != plan.rows;
  if (!problem.empty() && compacted) {
    throw ort::Error(ort::ErrorCode::kFail,
                     "actcache: region \"" + attributes_.region + "\": " + problem +
                         "; it does not work row by row and must not be compiled so");
  }
  if (!problem.empty()) RegionCounters::Add(counters.anomalies, 1);

  // Nothing was found and no two rows are equal: what was computed is the result, as it is.
  const bool complete = plan.kind != PlanKind::kRow || plan.missing == plan.rows;
  if (complete) {
    WriteComputed(io, call, parallel);
  } else {
    WriteMerged(io, call, parallel);
  }
  if (plan.kind != PlanKind::kPass) {
    const std::uint64_t elapsed = call.start_ns - std::min(call.start_ns, plan.lookup_end_ns);
    call.compute_ns = elapsed;
    RegionCounters::Add(counters.compute_ns, elapsed);
    region_.recompute_time.Add(plan.missing, elapsed);
    call.recorded = region_.recording.Current();
    call.row_cost = call.recorded
                        ? RegionPolicy::EntryCost{call.recorded->cost_ns, call.recorded->fetch_ns}
                        : region_.policy.Computed(plan.shape, plan.missing, elapsed);
    const std::size_t reused = static_cast<std::size_t>(
        std::count_if(plan.sources, plan.sources + plan.rows,
                      [](const RowSource& source) { return !source.cached(); }));
    call.saved_ns = (reused - plan.missing) * call.row_cost.recompute_ns;
    RegionCounters::Add(counters.saved_ns, call.saved_ns);
  }
  const std::uint64_t copy_end = SteadyNow();
  call.copy_ns = copy_end - call.start_ns;
  RegionCounters::Add(counters.copy_ns, call.copy_ns);
  if (plan.kind != PlanKind::kPass && problem.empty()) Keep(io, call, parallel);
  const std::uint64_t end = SteadyNow();
  RegionCounters::Add(counters.overhead_ns, end - call.start_ns);
  if (plan.kind != PlanKind::kPass) {
    if (!call.recorded) {
      region_.policy.Published({plan.shape, plan.missing, end - copy_end, call.saved_ns});
    }
    Audit(call);
    AuditRegionState(region_);
  }
}

void CacheStore::Audit(const Call& call) const {
  const Plan& plan = call.plan;
  if (plan.call == 0) return;
  const AuditLog::Slot<StoreRecord> slot(AuditLog::Process(), sizeof(StoreRecord) + plan.missing);
  if (!slot) return;
  slot->now_ns = call.now_ns();
  slot->call = plan.call;
  slot->rows = plan.missing;
  slot->stored_bytes = call.stored_bytes;
  slot->compute_ns = call.compute_ns;
  slot->copy_ns = call.copy_ns;
  slot->saved_ns = call.saved_ns;
  slot->cost_ns = call.row_cost.recompute_ns;
  slot->fetch_ns = call.row_cost.fetch_ns;
  slot->region = region_.number;
  for (std::size_t row = 0; row < plan.missing; ++row) {
    const bool seen_to = row < call.outcomes.size();
    slot.rest()[row] = static_cast<std::byte>(seen_to ? call.outcomes[row] : Outcome::kNothing);
  }
}

void CacheStore::WriteComputed(const KernelIo& io, const Call& call,
                               const Parallel& parallel) const {
  for (std::size_t i = 0; i < call.computed.size(); ++i) {
    const TensorView& computed = call.computed[i];
    const KernelIo::Output output = io.Allocate(i, computed.type, computed.dims);
    if (output.data == nullptr) continue;
    const RowLayout layout = RowLayout::Whole(computed.bytes);
    CopyRows(
        parallel, 1, computed.bytes,
        [&](std::size_t) { return ConstRow{computed.data, layout, 0}; },
        [&](std::size_t) { return MutableRow{output.data, layout, 0}; });
  }
}

void CacheStore::WriteMerged(const KernelIo& io, const Call& call, const Parallel& parallel) const {
  for (std::size_t i = 0; i < call.computed.size(); ++i) {
    const TensorView& computed = call.computed[i];
    const TensorView& cached = call.cached[i];
    const auto axis = static_cast<std::size_t>(attributes_.output_row_axes[i]);
    const std::size_t unit = ElementBits(computed.type) / 8;
    Dims dims = computed.dims;
    dims[axis] = call.plan.rows;
    const KernelIo::Output output = io.Allocate(i, computed.type, dims);
    if (output.data == nullptr) continue;
    const RowLayout from_computed = RowLayout::Of(computed.dims, axis, unit);
    RowLayout from_cached = from_computed;
    from_cached.rows = call.plan.cached_rows;
    const RowLayout to = RowLayout::Of(dims, axis, unit);
    CopyRows(
        parallel, call.plan.rows, to.row_bytes(),
        [&](std::size_t row) {
          const RowSource source = call.plan.sources[row];
          return source.cached() ? ConstRow{cached.data, from_cached, source.index()}
                                 : ConstRow{computed.data, from_computed, source.index()};
        },
        [&](std::size_t row) { return MutableRow{output.data, to, row}; });
  }
}

// The rows of the computed live-outs, as entries hold them.
struct CacheStore::Rows {
  std::vector<TensorSpec> specs;
  std::vector<RowLayout> layouts;
};

CacheStore::Rows CacheStore::RowsOf(const Call& call) const {
  Rows rows;
  for (std::size_t i = 0; i < call.computed.size(); ++i) {
    const TensorView& computed = call.computed[i];
    Dims dims = computed.dims;
    if (call.plan.kind == PlanKind::kRow) {
      const auto axis = static_cast<std::size_t>(attributes_.output_row_axes[i]);
      rows.layouts.push_back(RowLayout::Of(dims, axis, ElementBits(computed.type) / 8));
      dims.erase(axis);
    } else {
      rows.layouts.push_back(RowLayout::Whole(computed.bytes));
    }
    rows.specs.push_back({static_cast<std::int32_t>(computed.type),
                          std::vector<std::int64_t>(dims.begin(), dims.end()),
                          rows.layouts.back().row_bytes()});
  }
  return rows;
}

void CacheStore::Keep(const KernelIo& io, Call& call, const Parallel& parallel) const {
  std::uint64_t stored = 0;
  std::uint64_t verified = 0;
  try {
    const Rows rows = RowsOf(call);
    call.outcomes.reserve(call.plan.missing);
    for (std::size_t row = 0; row < call.plan.missing; ++row) {
      if ((call.plan.flags[row] & kVerify) != 0) {
        ++verified;
        call.outcomes.push_back(Verify(io, call, rows, row));
        continue;
      }
      const Outcome outcome = Publish(call, rows, row, parallel);
      call.outcomes.push_back(outcome);
      if (outcome == Outcome::kStored) {
        ++stored;
      } else if ((call.plan.flags[row] & kReplace) != 0) {
        // Nothing took the place of what nobody wants any more: it must not be found again.
        Store::Process().Remove(call.plan.keys[row], Ledger::Removal::kOutdated);
      }
    }
    for (const TensorSpec& spec : rows.specs) call.stored_bytes += stored * spec.bytes;
  } catch (...) {
    // The results are written already; what could not be stored is merely computed again.
  }
  RegionCounters::Add(region_.counters.stored, stored);
  RegionCounters::Add(region_.counters.not_admitted, call.plan.missing - stored - verified);
}

CacheStore::Outcome CacheStore::Publish(const Call& call, const Rows& rows, std::size_t row,
                                        const Parallel& parallel) const {
  Candidate candidate{};
  candidate.key = call.plan.keys[row];
  candidate.tag = EntryTag{call.plan.name_space, region_.number};
  candidate.specs = rows.specs.data();
  candidate.count = rows.specs.size();
  candidate.cost_ns = call.row_cost.recompute_ns;
  candidate.fetch_ns = call.row_cost.fetch_ns;
  candidate.now_ns = call.now_ns();
  candidate.ttl_ns = session_.ttl_ns;
  candidate.origin = call.plan.origin;
  candidate.replace = (call.plan.flags[row] & kReplace) != 0;
  Store& store = Store::Process();
  Draft draft = store.Reserve(candidate);
  if (!draft) {
    return draft.refusal() == Refusal::kPresent ? Outcome::kPresent : Outcome::kRefused;
  }
  for (std::size_t i = 0; i < rows.specs.size(); ++i) {
    const RowLayout dense = rows.layouts[i].Dense();
    CopyRows(
        parallel, 1, rows.specs[i].bytes,
        [&](std::size_t) { return ConstRow{call.computed[i].data, rows.layouts[i], row}; },
        [&](std::size_t) { return MutableRow{static_cast<std::byte*>(draft.data(i)), dense, 0}; });
  }
  return store.Publish(std::move(draft)) ? Outcome::kStored : Outcome::kRefused;
}

double CacheStore::tolerance() const {
  return std::max(Config::Process().verify_tolerance(), attributes_.tolerance);
}

CacheStore::Outcome CacheStore::Verify(const KernelIo& io, const Call& call, const Rows& rows,
                                       std::size_t row) const {
  Store& store = Store::Process();
  const Config& config = Config::Process();
  const Key& key = call.plan.keys[row];
  const EntryRef entry = store.Peek(key);
  // Evicted or invalidated since: nothing to compare with, or to remove.
  if (!entry) return Outcome::kNothing;
  const double difference = DifferenceFrom(*entry, call.computed, rows.layouts, rows.specs, row);
  Origins& origins = Origins::Process();
  const bool foreign = origins.ClassOf(entry->origin()) != origins.ClassOf(call.plan.origin);
  if (difference <= tolerance()) {
    if (foreign) origins.Agree(call.plan.origin, entry->origin());
    return Outcome::kEqual;
  }
  if (foreign) {
    KeepApart(io, call.plan.origin, difference);
    return Outcome::kDifferent;
  }
  store.Remove(key, Ledger::Removal::kMismatched);
  RegionCounters::Add(region_.counters.mismatches, 1);
  const bool disable = config.on_mismatch() == OnMismatch::kDisable;
  if (disable) region_.disabled.store(true, std::memory_order_relaxed);
  std::ostringstream text;
  text << "actcache: region \"" << attributes_.region << "\": a row that was computed again is "
       << difference << " (relative) away from what was cached, more than the tolerance of "
       << tolerance() << "; the entry is removed" << (disable ? " and the region turned off" : "");
  io.Warn(text.str());
  return Outcome::kDifferent;
}

void CacheStore::KeepApart(const KernelIo& io, Origin origin, double difference) const {
  RegionCounters::Add(region_.counters.mismatches, 1);
  if (!Origins::Process().KeepApart(origin)) return;
  std::ostringstream text;
  text << "actcache: region \"" << attributes_.region << "\": this session computes a row "
       << difference << " (relative) away from what another session has stored for the same input, "
       << "more than the tolerance of " << tolerance()
       << ". It keeps its own entries from now on and uses none of the others'. If the compiled "
       << "model was edited, compile the edited original instead; if the sessions' options differ, "
       << "give each a namespace of its own; if both are right, raise verify_tolerance";
  io.Warn(text.str());
}

}  // namespace actcache
