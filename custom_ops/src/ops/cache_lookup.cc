#include "ops/cache_lookup.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "audit/audit_log.h"
#include "config/config.h"
#include "hash/secret.h"
#include "ops/hand_over_table.h"
#include "ops/lookup_outputs.h"
#include "ops/per_call.h"
#include "ops/row_outcomes.h"
#include "ops/tier_search.h"
#include "units/call_plan.h"
#include "units/match.h"
#include "units/unit_signatures.h"

namespace actcache {
namespace {

// A call that finds less copies it itself: handing it over takes about a microsecond.
constexpr std::size_t kLeastHandedOver = std::size_t{64} * 1024;
// What is handed over may be so much of the budget.
constexpr std::size_t kHandOverShare = 4;

}  // namespace

// One call, on the stack of Compute().
struct CacheLookup::Call {
  std::uint64_t start_ns = SteadyNow();
  std::optional<LoggedCall> recorded;  // in a replay
  CallOptions options;
  std::vector<TensorView> inputs;  // the frontier
  Units units{};
  bool passes = false;                      // nothing is looked up, and nothing stored
  std::optional<std::uint32_t> name_space;  // whose entries it reads and makes; none: a pass
  Match match;                              // empty for a pass
  Keys keys;                                // of all units; empty for a pass
  KeyTails tails;  // of the same; empty unless values may go to tiers, or come from them
  KeyScope scope = KeyScope::kProcess;  // of the keys
  Sources first_sources;                // at the first search, if there were several
  TierSearch tiers;                     // for what memory did not have
  std::size_t joined = 0;               // units found because others computed them meanwhile
  Mode mode = Mode::kLookUp;
  ShapeClass shape = 0;
  std::uint64_t now_ns = start_ns;  // when it began, then: when the store was last asked
  std::uint64_t number = 0;         // AuditLog's
  std::uint64_t hash_ns = 0;
  std::uint64_t lookup_ns = 0;  // hash_ns and the first search
  std::uint64_t waited_ns = 0;  // for other calls, and searching again after them
  std::uint64_t fetch_ns = 0;   // copying what was found
  HandOver handed_over;         // what was found, if the branch is to copy it
  std::size_t copied_bytes = 0;
  std::uint64_t copy_ns = 0;  // that, and what is to be computed

  bool refreshes() const { return options.control == CacheUse::kRefresh; }
  // Nothing of what was found is used: the call is computed as a pass.
  void GiveUp() noexcept {
    passes = true;
    match = Match();
    keys = Keys();
    tails = KeyTails();
    tiers = TierSearch();
    joined = 0;
  }
  Account account() const {
    if (passes) return {0, 0, units.count};
    return {units.count - match.missing.size(), match.missing.size(), 0};
  }
};

CacheLookup::CacheLookup(const ort::Api* api, const ort::KernelInfo* info,
                         const SessionSettings& session)
    : api_(api),
      session_(session),
      attributes_(ReadLookupAttributes(api, info)),
      cut_(MakeCut(attributes_)),
      region_(Registry::Process().InternRegion(attributes_.region, attributes_.fingerprint)),
      name_space_(session.name_space_number),
      keying_(attributes_, *cut_, session_, SessionConstants::ForLookup(api, info, attributes_)) {
  region_.granularity.store(GranularityText(attributes_.kind), std::memory_order_relaxed);
}

CacheLookup::~CacheLookup() { HandOverTable::Process().EndOfNode(this); }

void CacheLookup::Read(const KernelIo& io, Call& call) const {
  call.recorded = region_.logged.Next();
  call.options = ReadCallOptions(io, attributes_);
  call.inputs.reserve(attributes_.frontier());
  for (std::size_t i = 0; i < attributes_.frontier(); ++i) call.inputs.push_back(io.Input(i));
  call.units = cut_->UnitsOf(call.inputs);
  call.passes = call.units.count == 0 || call.options.control == CacheUse::kBypass || Off();
}

bool CacheLookup::Off() const {
  return Config::Process().budget_bytes() == 0 || SecretError() != nullptr ||
         region_.disabled.load(std::memory_order_relaxed);
}

void CacheLookup::LookUp(Call& call, SingleFlight& flight, const KernelIo& io,
                         const Parallel& parallel) const {
  try {
    if (!call.passes) call.passes = !keying_.ProofHolds(io);
    if (!call.passes) ChooseNamespace(call);
    if (!call.passes) Consult(call);
    if (call.passes) return;
    const std::uint64_t start = SteadyNow();
    const bool tiers = Tiers::Process().on();
    const Keying& keying = keying_.Of(Config::Process().hash(), tiers, io);
    call.scope = keying.scope();
    call.keys = keying.KeysOf(call.units, call.options.name_space, call.inputs, parallel,
                              tiers && call.scope == KeyScope::kShared ? &call.tails : nullptr);
    call.hash_ns = SteadyNow() - start;
    Search(call, start, flight);
  } catch (...) {
    // No memory for the keys, say. The model can still be computed.
    call.GiveUp();
  }
}

void CacheLookup::ChooseNamespace(Call& call) const {
  call.name_space = call.options.name_space
                        ? Registry::Process().InternNamespace(*call.options.name_space)
                        : name_space_;
  call.passes = !call.name_space;
}

void CacheLookup::Consult(Call& call) const {
  call.shape = ShapeClassOf(UnitBytes(call.units, call.inputs));
  // What the caller wants replaced is replaced, whatever it costs.
  if (call.refreshes()) return;
  if (call.recorded) {
    call.passes = call.recorded->passed;
    return;
  }
  call.mode = region_.policy.Begin(Config::Process().bypass());
  call.passes = Passes(call.mode);
  if (call.passes && Tiers::Process().Wants(region_.tiers) && region_.policy.Feeds()) {
    call.mode = Mode::kLookUp;
    call.passes = false;
  }
}

void CacheLookup::Search(Call& call, std::uint64_t start_ns, SingleFlight& flight) const {
  const Config& config = Config::Process();
  const std::uint64_t now_ns = call.recorded ? call.recorded->lookup_ns : start_ns;
  LookupRules rules{FindLimits{now_ns, session_.max_age_ns}, config.verify_fraction(),
                    &region_.verification, keying_.origin(), call.refreshes()};
  for (;;) {
    flight.BeginSearch();
    call.match =
        FindUnits(Store::Process(), call.keys, call.units, attributes_.output_types, rules);
    call.now_ns = rules.limits.now_ns;
    // Waiting for other calls is not looking up.
    if (call.first_sources.empty()) call.lookup_ns = SteadyNow() - start_ns;
    const bool search =
        config.single_flight() && !rules.refresh &&
        flight.SearchAgain(call.match.missing_keys.data(), call.match.missing_flags.data(),
                           call.match.missing.size(), kVerify | kKept);
    if (!search) break;
    if (!call.recorded) rules.limits.now_ns = SteadyNow();
    if (call.first_sources.empty()) call.first_sources = std::move(call.match.sources);
  }
  if (!call.first_sources.empty()) {
    call.waited_ns = SteadyNow() - start_ns - call.lookup_ns;
    for (std::size_t unit = 0; unit < call.units.count; ++unit) {
      if (Joined(call.match, call.first_sources, unit)) ++call.joined;
    }
  }
  if (call.match.any_miss() && !call.tails.empty()) SearchTiers(call, rules);
}

void CacheLookup::SearchTiers(Call& call, LookupRules& rules) const {
  if (rules.refresh) return;
  const UnitNames names{call.keys, call.tails, call.units.cut->chained() ? call.units.length : 0};
  if (call.recorded) {
    call.tiers.RunLogged(region_, *call.name_space, rules, call.match, names,
                         call.recorded->fetched);
  } else {
    call.tiers.Run(region_, *call.name_space, rules, call.match, names);
  }
  if (call.tiers.entries().empty()) return;
  if (!call.recorded) rules.limits.now_ns = SteadyNow();
  rules.beside = &call.tiers.entries();
  call.match = FindUnits(Store::Process(), call.keys, call.units, attributes_.output_types, rules);
  call.now_ns = rules.limits.now_ns;
}

void CacheLookup::HandOverFound(const LookupOutputs& outputs, Call& call) const {
  if (outputs.BytesForBranch() < kLeastHandedOver) return;
  try {
    std::unique_ptr<HandedOver> found = outputs.ForBranch();
    found->region = region_.number;
    found->shape = call.shape;
    found->replayed = call.recorded.has_value();
    found->computing_ns = region_.recompute_time.Expected(call.match.missing.size());
    const std::size_t most = Config::Process().budget_bytes() / kHandOverShare;
    call.handed_over.Put(std::move(found), this, most, SteadyNow());
  } catch (...) {
    // No memory for it: this kernel copies.
  }
}

void CacheLookup::WriteUnits(const KernelIo& io, Call& call, const Parallel& parallel) const {
  const std::uint64_t start = SteadyNow();
  const LookupOutputs outputs{io, parallel, attributes_, *cut_, call.units, call.match};
  call.copied_bytes = outputs.FoundBytes();
  HandOverFound(outputs, call);
  outputs.WriteCached(call.inputs, call.handed_over.made());
  if (!call.match.hits.empty()) call.fetch_ns = SteadyNow() - start;
  outputs.WriteCompact(call.inputs);
  outputs.WriteDivided();
  const std::uint64_t end = SteadyNow();
  call.copy_ns = end - start;
  RegionCounters::Add(region_.counters.copy_ns, call.copy_ns);
  RegionCounters::Add(region_.counters.overhead_ns, end - call.start_ns - call.waited_ns);
}

void CacheLookup::Count(const Call& call) const {
  RegionCounters& counters = region_.counters;
  const Account account = call.account();
  RegionCounters::Add(counters.calls, 1);
  RegionCounters::Add(counters.bypassed, account.bypassed);
  RegionCounters::Add(counters.hits, account.hits);
  RegionCounters::Add(counters.duplicates, call.match.duplicates);
  RegionCounters::Add(counters.joined, call.joined);
  CountTiers(call);
  RegionCounters::Add(counters.misses, account.misses);
  RegionCounters::Add(counters.expired, call.match.expired);
  RegionCounters::Add(counters.verified, call.match.verified);
  RegionCounters::Add(counters.compared, call.match.compared);
  RegionCounters::Add(counters.saved_ns, call.match.saved_ns);
  RegionCounters::Add(counters.hash_ns, call.hash_ns);
}

void CacheLookup::CountTiers(const Call& call) const {
  if (call.tiers.entries().empty()) return;
  std::array<std::uint64_t, kMostTiers + 1> hits{};
  for (std::size_t unit = 0; unit < call.units.count; ++unit) {
    ++hits[call.tiers.TierOf(call.match, unit)];
  }
  RegionCounters::Add(region_.counters.disk_hits, hits[0]);
  RegionCounters::Add(region_.counters.remote_hits, hits[1]);
}

void CacheLookup::Report(const Call& call) const {
  if (call.recorded) return;
  std::size_t watched = 0;
  std::size_t seen = 0;
  std::uint64_t watch_ns = 0;
  if (Notes(call.mode)) {
    const std::uint64_t start = SteadyNow();
    try {
      seen = NoteUnits(region_.signatures, *call.name_space, call.units, call.inputs);
      watched = call.units.count;
    } catch (...) {
      // No memory: these units go unwatched.
    }
    watch_ns = SteadyNow() - start;
    RegionCounters::Add(region_.counters.overhead_ns, watch_ns);
  }
  if (Passes(call.mode)) {
    region_.policy.Passed({call.shape, watched, seen, watch_ns});
  } else if (!call.passes && !call.refreshes()) {
    const Match& match = call.match;
    region_.policy.LookedUp({call.shape, call.units.count, match.hits.size(), match.verified,
                             call.lookup_ns, call.fetch_ns,
                             match.saved_ns - std::min(match.saved_ns, call.tiers.elapsed_ns()),
                             call.handed_over.made()});
  }
}

void CacheLookup::Audit(Call& call) const {
  AuditLog& log = AuditLog::Process();
  call.number = log.NextCall();
  if (call.number == 0) return;
  const Match& match = call.match;
  const std::size_t fetched = call.tiers.fetched().size();
  const AuditLog::Slot<LookupRecord> slot(
      log, LookupRecord::Bytes(call.units.count, fetched, call.passes));
  if (!slot) return;
  slot->now_ns = call.now_ns;
  slot->call = call.number;
  slot->rows = call.units.count;
  slot->bytes = call.copied_bytes;
  slot->hash_ns = call.hash_ns;
  slot->lookup_ns = call.lookup_ns - std::min(call.lookup_ns, call.hash_ns);
  slot->wait_ns = call.waited_ns;
  slot->copy_ns = call.copy_ns;
  slot->saved_ns = match.saved_ns;
  slot->region = region_.number;
  slot->name_space = call.name_space.value_or(kNoNamespace);
  slot->fetched = static_cast<std::uint32_t>(fetched);
  slot->length = cut_->chained() ? static_cast<std::uint32_t>(call.units.length) : 0;
  slot->ends = cut_->has_ends();
  slot->passed = call.passes;
  if (call.passes) return;
  WriteRowOutcomes(match, call.keys, call.first_sources, call.tiers, call.refreshes(), call.now_ns,
                   slot.rest());
}

void CacheLookup::Compute(ort::KernelContext* context) const {
  const KernelIo io(api_, context);
  const Parallel parallel(api_, context);
  Call call;
  Read(io, call);
  SingleFlight flight(this, region_.recompute_time);
  LookUp(call, flight, io, parallel);
  Count(call);
  WriteUnits(io, call, parallel);
  Report(call);
  Audit(call);
  AuditRegionState(region_);

  const bool any_miss = call.passes || call.match.any_miss();
  const KernelIo::Output flag = io.Allocate(0, ElementType::kBool, Dims{});
  if (flag.data != nullptr) *reinterpret_cast<bool*>(flag.data) = any_miss;
  WriteAccount(io, attributes_, call.account());
  WritePlan(io, call, flight);
}

void CacheLookup::WritePlan(const KernelIo& io, Call& call, SingleFlight& flight) const {
  CallPlan plan;
  KeyTails missing_tails;
  Keys before;
  KeyTails before_tails;
  plan.shape = call.shape;
  plan.region = region_.number;
  plan.origin = keying_.origin();
  plan.scope = call.scope;
  plan.name_space = call.name_space.value_or(0);  // without a number every plan is a pass
  if (!call.passes) {
    plan.kind = call.units.cut->kind();
    plan.rows = static_cast<std::uint32_t>(call.units.count);
    plan.missing = static_cast<std::uint32_t>(call.match.missing.size());
    plan.cached_rows = static_cast<std::uint32_t>(call.match.hits.size());
    plan.length = static_cast<std::uint32_t>(call.units.length);
    plan.tail = static_cast<std::uint32_t>(call.units.tail);
    plan.keys = call.match.missing_keys.data();
    plan.sources = call.match.sources.data();
    plan.flags = call.match.missing_flags.data();
    for (const std::uint32_t unit : call.match.missing) {
      // Without them nothing goes to tiers: a replay leaves them as they are.
      if (!call.tails.empty() && !call.recorded) missing_tails.push_back(call.tails[unit]);
    }
    if (!missing_tails.empty()) plan.tails = missing_tails.data();
    if (plan.kind == PlanKind::kPrefix && plan.cached_rows > 0) {
      const std::size_t found = plan.cached_rows / plan.batch();
      for (std::size_t row = 0; row < plan.batch(); ++row) {
        const std::size_t unit = row * plan.length + found - 1;
        before.push_back(call.keys[unit]);
        if (plan.tails != nullptr) before_tails.push_back(call.tails[unit]);
      }
      plan.before = before.data();
      if (plan.tails != nullptr) plan.before_tails = before_tails.data();
    }
  }
  const std::size_t bytes = PlanBytes(plan);
  const KernelIo::Output output =
      io.Allocate(1, ElementType::kUint8, Dims{static_cast<std::int64_t>(bytes)});
  if (output.data == nullptr) return;
  plan.handed_over = call.handed_over.Send(call.number, call.fetch_ns, output.data, bytes);
  if (plan.missing > 0) plan.flight = flight.HandOver();
  plan.call = call.number;
  plan.lookup_end_ns = SteadyNow();  // last: what follows is the region's time
  EncodePlan(plan, output.data);
}

}  // namespace actcache
