#include "ops/cache_lookup.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "audit/audit_log.h"
#include "config/config.h"
#include "hash/secret.h"
#include "ops/lookup_outputs.h"
#include "ops/per_call.h"
#include "ops/row_outcomes.h"
#include "units/plan.h"
#include "units/row_signatures.h"

namespace actcache {
namespace {

// What no other kernel's keys have.
std::string PrivateSalt() {
  static std::atomic<std::uint64_t> made{0};
  return "kernel " + std::to_string(made.fetch_add(1, std::memory_order_relaxed));
}

// Of what was found, as WriteCached() copies it.
std::size_t CopiedBytes(const Match& match) {
  if (match.hits.empty()) return 0;
  std::size_t row_bytes = 0;
  const Entry& entry = *match.hits.front();
  for (std::size_t i = 0; i < entry.tensor_count(); ++i) row_bytes += entry.bytes(i);
  return row_bytes * (match.any_miss() ? match.hits.size() : match.sources.size());
}

}  // namespace

// One call, on the stack of Compute().
struct CacheLookup::Call {
  CallOptions options;
  std::vector<TensorView> inputs;  // the frontier
  PlanKind kind = PlanKind::kPass;
  std::optional<std::uint32_t> name_space;  // whose entries it reads and makes; none: a pass
  std::size_t rows = 0;                     // N; 1 for a whole call
  Match match;                              // empty for a pass
  Keys keys;                                // of all rows; empty for a pass
  Sources first_sources;                    // at the first search, if there were several
  std::size_t joined = 0;                   // rows found because others computed them meanwhile
  std::optional<RecordedCall> recorded;     // in a replay
  Mode mode = Mode::kLookUp;
  ShapeClass shape = 0;
  const Axes* axes = nullptr;  // of the inputs, as the rows are looked up or would be
  std::uint64_t now_ns = 0;    // when it began, then: when the store was last asked
  std::uint64_t number = 0;    // AuditLog's
  std::uint64_t hash_ns = 0;
  std::uint64_t lookup_ns = 0;  // hash_ns and the first search
  std::uint64_t waited_ns = 0;  // for other calls, and searching again after them
  std::uint64_t fetch_ns = 0;   // copying what was found
  std::uint64_t copy_ns = 0;    // that, and the rows to compute

  Account account() const {
    if (kind == PlanKind::kPass) return {0, 0, rows};
    return {rows - match.missing.size(), match.missing.size(), 0};
  }
};

CacheLookup::CacheLookup(const ort::Api* api, const ort::KernelInfo* info,
                         const SessionSettings& session)
    : api_(api),
      session_(session),
      attributes_(ReadLookupAttributes(api, info)),
      region_(Registry::Process().InternRegion(attributes_.region, attributes_.fingerprint)),
      name_space_(session.name_space_number),
      no_input_axes_(attributes_.input_row_axes.size(), -1),
      no_output_axes_(attributes_.live_outs(), -1),
      constants_(SessionConstants::ForLookup(attributes_)),
      origin_(Origins::Process().Begin()) {
  constants_->Add(api, info, attributes_);
  region_.by_row.store(attributes_.rows, std::memory_order_relaxed);
}

CacheLookup::KeyBases CacheLookup::MakeBases(const std::string& session) const {
  const auto make = [&](HashKind kind) {
    return KeyBase(kind, attributes_.fingerprint, session_.name_space,
                   attributes_.namespace_input >= 0, attributes_.output_types,
                   attributes_.output_row_axes, session);
  };
  return {make(HashKind::kBlake3), make(HashKind::kXxh3)};
}

const CacheLookup::KeyBases& CacheLookup::bases(const KernelIo& io) const {
  std::call_once(bases_made_, [&] {
    const std::optional<std::string> constants = constants_->DigestOf(attributes_);
    if (!constants) {
      io.Warn("actcache: region \"" + attributes_.region +
              "\": onnxruntime does not show all constants of this session, so it shares no "
              "entries with others");
    }
    const bool shares = session_.shares && constants.has_value() && origin_ != Origins::kNone;
    // Framed, as the digests are bytes of any kind.
    bases_.emplace(MakeBases(std::to_string(session_.value_entries.size()) + ":" +
                             session_.value_entries + (shares ? *constants : PrivateSalt())));
    constants_->ReleasePages();
  });
  return *bases_;
}

CacheLookup::~CacheLookup() { delete own_bases_.load(std::memory_order_relaxed); }

const CacheLookup::KeyBases& CacheLookup::OwnBases() const {
  const KeyBases* own = own_bases_.load(std::memory_order_acquire);
  if (own != nullptr) return *own;
  auto made = std::make_unique<const KeyBases>(MakeBases(session_.value_entries + PrivateSalt()));
  if (own_bases_.compare_exchange_strong(own, made.get(), std::memory_order_acq_rel)) {
    own = made.release();
  }
  return *own;
}

const KeyBase& CacheLookup::base(HashKind kind, const KernelIo& io) const {
  const bool apart = origin_ != Origins::kNone && Origins::Process().IsApart(origin_);
  const KeyBases& chosen = apart ? OwnBases() : bases(io);
  return kind == HashKind::kXxh3 ? chosen.xxh3 : chosen.blake3;
}

void CacheLookup::Classify(Call& call) const {
  call.kind = PlanKind::kWhole;
  call.rows = 1;
  if (!attributes_.rows) return;
  std::optional<std::size_t> rows;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const std::int64_t axis = attributes_.input_row_axes[i];
    if (axis < 0) continue;
    const TensorView& input = call.inputs[i];
    // Inputs that are not batches of equal length (a broadcast batch of 1, a scalar), or whose rows
    // are not whole bytes, make this one call an entry of its own.
    if (static_cast<std::size_t>(axis) >= input.dims.size() || !HasByteRows(input.type)) return;
    const auto size = static_cast<std::size_t>(input.dims[static_cast<std::size_t>(axis)]);
    if (rows && *rows != size) return;
    rows = size;
  }
  if (!rows || *rows > kMaxPlanRows) return;
  // The proof that the rows are independent is about calls in which these hold.
  if (!HaveRanks(attributes_.input_ranks, call.inputs)) return;
  if (!Hold(attributes_.size_equations, call.inputs)) return;
  call.kind = *rows == 0 ? PlanKind::kPass : PlanKind::kRow;
  call.rows = *rows;
}

void CacheLookup::ChooseNamespace(Call& call) const {
  call.name_space = call.options.name_space
                        ? Registry::Process().InternNamespace(*call.options.name_space)
                        : name_space_;
  if (!call.name_space) call.kind = PlanKind::kPass;
}

void CacheLookup::Consult(Call& call) const {
  call.axes = call.kind == PlanKind::kRow ? &attributes_.input_row_axes : &no_input_axes_;
  call.shape = ShapeClassOf(RowBytes(call.inputs, *call.axes, call.rows));
  // What the caller wants replaced is replaced, whatever it costs.
  if (call.options.control == Control::kRefresh) return;
  if (call.recorded) {
    if (call.recorded->passed) call.kind = PlanKind::kPass;
    return;
  }
  call.mode = region_.policy.Begin(Config::Process().bypass());
  if (Passes(call.mode)) call.kind = PlanKind::kPass;
}

void CacheLookup::Report(const Call& call) const {
  if (call.recorded) return;
  std::size_t watched = 0;
  std::size_t seen = 0;
  std::uint64_t watch_ns = 0;
  if (Notes(call.mode)) {
    const std::uint64_t start = SteadyNow();
    try {
      seen = NoteRows(region_.signatures, *call.name_space, call.inputs, *call.axes, call.rows);
      watched = call.rows;
    } catch (...) {
      // No memory: these rows go unwatched.
    }
    watch_ns = SteadyNow() - start;
    RegionCounters::Add(region_.counters.overhead_ns, watch_ns);
  }
  if (Passes(call.mode)) {
    region_.policy.Passed({call.shape, watched, seen, watch_ns});
  } else if (call.kind != PlanKind::kPass && call.options.control != Control::kRefresh) {
    const Match& match = call.match;
    region_.policy.LookedUp({call.shape, call.rows, match.hits.size(), match.verified,
                             call.lookup_ns, call.fetch_ns, match.saved_ns});
  }
}

void CacheLookup::Find(Call& call, SingleFlight& flight, const KernelIo& io,
                       const Parallel& parallel) const {
  const std::uint64_t start = SteadyNow();
  const bool by_row = call.kind == PlanKind::kRow;
  call.keys = ComputeKeys(base(Config::Process().hash(), io), call.kind, call.options.name_space,
                          call.inputs, by_row ? attributes_.input_row_axes : no_input_axes_,
                          call.rows, parallel, by_row ? attributes_.min_rows : 1);
  call.hash_ns = SteadyNow() - start;
  Search(call, start, flight);
}

void CacheLookup::Search(Call& call, std::uint64_t start_ns, SingleFlight& flight) const {
  const Config& config = Config::Process();
  const bool by_row = call.kind == PlanKind::kRow;
  const std::uint64_t now_ns = call.recorded ? call.recorded->lookup_ns : start_ns;
  LookupRules rules{FindLimits{now_ns, session_.max_age_ns}, config.verify_fraction(),
                    &region_.verification, origin_, call.options.control == Control::kRefresh};
  for (;;) {
    flight.BeginSearch();
    call.match = FindRows(Store::Process(), call.keys, attributes_.output_types,
                          by_row ? attributes_.output_row_axes : no_output_axes_, rules);
    call.now_ns = rules.limits.now_ns;
    // Waiting for other calls is not looking up.
    if (call.first_sources.empty()) call.lookup_ns = SteadyNow() - start_ns;
    const bool search =
        config.single_flight() && !rules.refresh &&
        flight.SearchAgain(call.match.missing_keys.data(), call.match.missing_flags.data(),
                           call.match.missing.size(), kVerify);
    if (!search) break;
    if (!call.recorded) rules.limits.now_ns = SteadyNow();
    if (call.first_sources.empty()) call.first_sources = std::move(call.match.sources);
  }
  if (call.first_sources.empty()) return;
  call.waited_ns = SteadyNow() - start_ns - call.lookup_ns;
  for (std::size_t row = 0; row < call.rows; ++row) {
    if (Joined(call.match, call.first_sources, row)) ++call.joined;
  }
}

void CacheLookup::Count(const Call& call) const {
  RegionCounters& counters = region_.counters;
  const Account account = call.account();
  RegionCounters::Add(counters.calls, 1);
  RegionCounters::Add(counters.bypassed, account.bypassed);
  RegionCounters::Add(counters.hits, account.hits);
  RegionCounters::Add(counters.duplicates, call.match.duplicates);
  RegionCounters::Add(counters.joined, call.joined);
  RegionCounters::Add(counters.misses, account.misses);
  RegionCounters::Add(counters.expired, call.match.expired);
  RegionCounters::Add(counters.verified, call.match.verified);
  RegionCounters::Add(counters.saved_ns, call.match.saved_ns);
  RegionCounters::Add(counters.hash_ns, call.hash_ns);
}

void CacheLookup::Audit(Call& call) const {
  AuditLog& log = AuditLog::Process();
  call.number = log.NextCall();
  if (call.number == 0) return;
  const Match& match = call.match;
  const bool passed = call.kind == PlanKind::kPass;
  const AuditLog::Slot<LookupRecord> slot(log, LookupRecord::Bytes(call.rows, passed));
  if (!slot) return;
  slot->now_ns = call.now_ns;
  slot->call = call.number;
  slot->rows = call.rows;
  slot->bytes = CopiedBytes(match);
  slot->hash_ns = call.hash_ns;
  slot->lookup_ns = call.lookup_ns - std::min(call.lookup_ns, call.hash_ns);
  slot->wait_ns = call.waited_ns;
  slot->copy_ns = call.copy_ns;
  slot->saved_ns = match.saved_ns;
  slot->region = region_.number;
  slot->name_space = call.name_space.value_or(kNoNamespace);
  slot->passed = passed;
  if (passed) return;
  WriteRowOutcomes(match, call.keys, call.first_sources, call.options.control == Control::kRefresh,
                   call.now_ns, slot.rest());
}

bool CacheLookup::Off() const {
  return Config::Process().budget_bytes() == 0 || SecretError() != nullptr ||
         region_.disabled.load(std::memory_order_relaxed);
}

void CacheLookup::Compute(ort::KernelContext* context) const {
  const KernelIo io(api_, context);
  const Parallel parallel(api_, context);
  const std::uint64_t start = SteadyNow();
  Call call;
  call.now_ns = start;
  call.recorded = region_.recording.Next();
  call.options = ReadCallOptions(io, attributes_);
  call.inputs.reserve(attributes_.frontier());
  for (std::size_t i = 0; i < attributes_.frontier(); ++i) call.inputs.push_back(io.Input(i));

  Classify(call);
  if (call.options.control == Control::kBypass || Off()) call.kind = PlanKind::kPass;
  SingleFlight flight(this, region_.recompute_time);
  if (call.kind != PlanKind::kPass) {
    try {
      ChooseNamespace(call);
      if (call.kind != PlanKind::kPass) Consult(call);
      if (call.kind != PlanKind::kPass) Find(call, flight, io, parallel);
    } catch (...) {
      // No memory for the keys, say. The model can still be computed.
      call.match = Match();
      call.kind = PlanKind::kPass;
    }
  }
  Count(call);

  const std::uint64_t copy_start = SteadyNow();
  const LookupOutputs outputs{io, parallel, attributes_, call.kind, call.rows, call.match};
  outputs.WriteCached();
  if (!call.match.hits.empty()) call.fetch_ns = SteadyNow() - copy_start;
  outputs.WriteCompact(call.inputs);
  const std::uint64_t end = SteadyNow();
  call.copy_ns = end - copy_start;
  RegionCounters::Add(region_.counters.copy_ns, call.copy_ns);
  RegionCounters::Add(region_.counters.overhead_ns, end - start - call.waited_ns);
  Report(call);
  Audit(call);
  AuditRegionState(region_);

  const bool any_miss = call.kind == PlanKind::kPass || call.match.any_miss();
  const KernelIo::Output flag = io.Allocate(0, ElementType::kBool, Dims{});
  if (flag.data != nullptr) *reinterpret_cast<bool*>(flag.data) = any_miss;
  WriteAccount(io, attributes_, call.account());
  WritePlan(io, call, flight);
}

void CacheLookup::WritePlan(const KernelIo& io, const Call& call, SingleFlight& flight) const {
  Plan plan;
  plan.kind = call.kind;
  plan.shape = call.shape;
  plan.region = region_.number;
  plan.origin = origin_;
  plan.name_space = call.name_space.value_or(0);  // without a number every plan is a pass
  if (call.kind != PlanKind::kPass) {
    plan.rows = static_cast<std::uint32_t>(call.rows);
    plan.missing = static_cast<std::uint32_t>(call.match.missing.size());
    plan.cached_rows = static_cast<std::uint32_t>(call.match.hits.size());
    plan.keys = call.match.missing_keys.data();
    plan.sources = call.match.sources.data();
    plan.flags = call.match.missing_flags.data();
  }
  const KernelIo::Output output =
      io.Allocate(1, ElementType::kUint8, Dims{static_cast<std::int64_t>(PlanBytes(plan))});
  if (output.data == nullptr) return;
  if (plan.missing > 0) plan.flight = flight.HandOver();
  plan.call = call.number;
  plan.lookup_end_ns = SteadyNow();  // last: what follows is the region's time
  EncodePlan(plan, output.data);
}

}  // namespace actcache
