#include "ops/unit_keeper.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "base/clock.h"
#include "config/config.h"
#include "ops/draft_batch.h"
#include "policy/origins.h"
#include "store/store.h"
#include "tier/tiers.h"

namespace actcache {
namespace {

std::uint64_t CountOf(const UnitKeeper::Kept& kept, UnitKeeper::Outcome outcome) {
  const auto& all = kept.outcomes;
  return static_cast<std::uint64_t>(std::count(all.data(), all.data() + all.size(), outcome));
}

}  // namespace

// One call.
struct UnitKeeper::Work {
  Work(const KernelIo& the_io, const Call& the_call, const Parallel& the_parallel)
      : io(the_io),
        call(the_call),
        parallel(the_parallel),
        units(call.cut, call.computed, call.plan.divided()),
        batch(Store::Process(), units, parallel) {
    kept.outcomes.resize(call.plan.missing, Outcome::kNothing);
  }

  const KernelIo& io;
  const Call& call;
  const Parallel& parallel;
  const ComputedUnits units;
  DraftBatch batch;
  // What the unit before the next one is worth, by which a chain goes on; none: it is not kept. Of
  // units that are in no chain, always infinity.
  std::optional<double> before = std::numeric_limits<double>::infinity();
  SmallVector<bool, 64> spared;  // of the units; empty: none is
  Kept kept;
};

UnitKeeper::Kept UnitKeeper::Keep(const KernelIo& io, const Call& call,
                                  const Parallel& parallel) const noexcept {
  Kept kept;
  std::uint64_t stored = 0;
  std::uint64_t not_offered = 0;  // what was compared, or is kept already
  try {
    Work work(io, call, parallel);
    SpareFirstSights(work);
    const std::size_t rows = call.cut.chained() ? call.plan.batch() : 1;
    const std::size_t length = call.plan.missing / rows;
    for (std::size_t unit = 0; unit < call.plan.missing; ++unit) {
      if (call.cut.chained() && unit % length == 0) BeginChain(work, unit / length);
      if ((call.plan.flags[unit] & (kVerify | kKept)) != 0) ++not_offered;
      See(work, unit, length - 1 - unit % length);
    }
    Publish(work);
    kept = std::move(work.kept);
    const auto& outcomes = kept.outcomes;
    for (std::size_t unit = 0; unit < outcomes.size(); ++unit) {
      if (outcomes[unit] != Outcome::kStored) continue;
      ++stored;
      kept.stored_bytes += work.units.unit_bytes(unit);
    }
  } catch (...) {
    // The results are written already.
  }
  RegionCounters::Add(region_.counters.stored, stored);
  RegionCounters::Add(region_.counters.not_admitted, call.plan.missing - stored - not_offered);
  RegionCounters::Add(region_.counters.first_sights, CountOf(kept, Outcome::kFirstSight));
  return kept;
}

void UnitKeeper::SpareFirstSights(Work& work) const {
  const Call& call = work.call;
  const std::size_t count = call.plan.missing;
  if (call.logged != nullptr) {
    work.spared.resize(count);
    for (std::size_t unit = 0; unit < count && unit < call.logged->size(); ++unit) {
      work.spared[unit] = (*call.logged)[unit] == Letter(Outcome::kFirstSight);
    }
    return;
  }
  // What goes to tiers may be found by others, of whom nothing is known here.
  if (region_.policy.StoresFirstSights() || call.plan.tails != nullptr) return;
  work.spared.resize(count);
  std::size_t offered = 0;
  std::size_t seen = 0;
  for (std::size_t unit = 0; unit < count; ++unit) {
    const std::uint8_t flags = call.plan.flags[unit];
    if ((flags & (kVerify | kKept)) != 0) continue;
    ++offered;
    const bool known = (flags & (kReplace | kExpired)) != 0;
    work.spared[unit] = !region_.computed.Note(call.plan.keys[unit].words[1]) && !known;
    if (!work.spared[unit]) ++seen;
  }
  work.kept.spared = !region_.policy.Repeats(call.plan.shape, offered, seen);
  if (!work.kept.spared) work.spared.clear();
}

void UnitKeeper::BeginChain(Work& work, std::size_t row) const {
  Publish(work);  // rows that begin alike are of one chain up to there
  const Key* const before = work.call.plan.before;
  work.before = before == nullptr ? std::numeric_limits<double>::infinity()
                                  : Store::Process().WorthOf(before[row]);
}

void UnitKeeper::GoOnBehind(Work& work, std::size_t unit) const {
  if (work.call.cut.chained()) work.before = Store::Process().WorthOf(work.call.plan.keys[unit]);
}

void UnitKeeper::See(Work& work, std::size_t unit, std::size_t followers) const {
  const std::uint8_t flags = work.call.plan.flags[unit];
  if ((flags & (kVerify | kKept)) != 0) {
    const bool verify = (flags & kVerify) != 0;
    work.kept.outcomes[unit] =
        verify ? Verify(work.io, work.call, work.units, unit) : Outcome::kPresent;
    return GoOnBehind(work, unit);
  }
  if (!work.spared.empty() && work.spared[unit]) {
    if (work.call.cut.chained()) work.before.reset();
    return Finish(work, unit, Outcome::kFirstSight);
  }
  // Without what it follows nobody would ever find it.
  if (!work.before) return Finish(work, unit, Outcome::kRefused);
  Draft draft = Reserve(work, unit, followers);
  if (!draft) {
    Publish(work);  // tiers get a chain in its order, too
    const bool present = draft.rejection() == Rejection::kPresent;
    Finish(work, unit, present ? Outcome::kPresent : Outcome::kRefused);
    return GoOnBehind(work, unit);
  }
  if (work.call.cut.chained()) work.before = draft.worth();
  work.batch.Add(unit, std::move(draft));
  if (work.batch.full()) Publish(work);
}

Draft UnitKeeper::Reserve(const Work& work, std::size_t unit, std::size_t followers) const {
  const Call& call = work.call;
  Offer offer{};
  offer.key = call.plan.keys[unit];
  offer.tag = EntryTag{call.plan.name_space, region_.number};
  offer.specs = work.units.specs(unit).data();
  offer.count = work.units.parts();
  offer.cost_ns = call.cost.recompute_ns;
  offer.fetch_ns = call.cost.fetch_ns;
  offer.now_ns = call.now_ns;
  offer.ttl_ns = ttl_ns_;
  offer.scope = call.plan.scope;
  offer.origin = call.plan.origin;
  offer.replace = (call.plan.flags[unit] & kReplace) != 0;
  offer.before = *work.before;
  offer.followers = call.cut.chained() ? followers : 0;
  return Store::Process().Reserve(offer);
}

void UnitKeeper::Publish(Work& work) const {
  work.batch.Publish([&](std::size_t unit, bool published) {
    Finish(work, unit, published ? Outcome::kStored : Outcome::kRefused);
  });
}

void UnitKeeper::Finish(Work& work, std::size_t unit, Outcome outcome) const {
  const CallPlan& plan = work.call.plan;
  work.kept.outcomes[unit] = outcome;
  // What is there already, somebody else has written.
  if (outcome != Outcome::kPresent && plan.tails != nullptr) {
    const std::uint64_t start = SteadyNow();
    PutToTiers(work.call, work.units, unit, work.parallel);
    work.kept.shared_ns += SteadyNow() - start;
  }
  if (outcome != Outcome::kStored && (plan.flags[unit] & kReplace) != 0) {
    // Nothing took the place of what nobody wants any more: it must not be found again.
    Store::Process().Remove(plan.keys[unit], Ledger::Removal::kOutdated);
  }
}

std::optional<TierKey> UnitKeeper::BeforeOf(const Call& call, std::size_t unit) {
  if (!call.cut.chained()) return std::nullopt;
  const CallPlan& plan = call.plan;
  const std::size_t length = plan.missing / plan.batch();
  if (unit % length != 0) return TierKeyOf(plan.keys[unit - 1], plan.tails[unit - 1]);
  if (plan.before == nullptr) return std::nullopt;
  const std::size_t row = unit / length;
  return TierKeyOf(plan.before[row], plan.before_tails[row]);
}

void UnitKeeper::PutToTiers(const Call& call, const ComputedUnits& units, std::size_t unit,
                            const Parallel& parallel) const {
  Tiers& tiers = Tiers::Process();
  const CallPlan& plan = call.plan;
  if (!tiers.on()) return;
  const std::string name_space = Registry::Process().namespaces().Name(plan.name_space);
  RecordFields fields;
  fields.key = TierKeyOf(plan.keys[unit], plan.tails[unit]);
  fields.identity = Origins::Process().IdentityOf(plan.origin);
  fields.fingerprint = region_.fingerprint;
  fields.region = region_.id;
  fields.name_space = name_space;
  fields.made_ns = UnixNow();
  fields.expires_ns = ttl_ns_ == 0 ? 0 : fields.made_ns + ttl_ns_;
  fields.cost_ns = call.cost.recompute_ns;
  fields.before = BeforeOf(call, unit);
  tiers.Put(
      &region_.tiers, fields, units.specs(unit),
      [&](Record* record) {
        units.CopyTo(
            1, [&](std::size_t) { return unit; },
            [&](std::size_t, std::size_t i) { return record->payload(i); }, parallel);
      },
      (plan.flags[unit] & kReplace) != 0);
}

double UnitKeeper::tolerance() const {
  return std::max(Config::Process().verify_tolerance(), tolerance_);
}

UnitKeeper::Outcome UnitKeeper::Verify(const KernelIo& io, const Call& call,
                                       const ComputedUnits& units, std::size_t unit) const {
  const Key& key = call.plan.keys[unit];
  const EntryRef entry = Store::Process().Peek(key);
  // Evicted or invalidated since: nothing to compare with, or to remove.
  if (!entry) return Outcome::kNothing;
  const double difference = units.DifferenceFrom(*entry, unit);
  Origins& origins = Origins::Process();
  const bool foreign = origins.ClassOf(entry->origin()) != origins.ClassOf(call.plan.origin);
  if (difference <= tolerance()) {
    if (foreign) origins.Agree(call.plan.origin, entry->origin());
    return Outcome::kEqual;
  }
  RegionCounters::Add(region_.counters.mismatches, 1);
  if (foreign) {
    KeepApart(io, call.plan.origin, difference);
  } else {
    Distrust(io, call.plan, unit, difference);
  }
  return Outcome::kDifferent;
}

void UnitKeeper::Distrust(const KernelIo& io, const CallPlan& plan, std::size_t unit,
                          double difference) const {
  const Key& key = plan.keys[unit];
  Store::Process().Remove(key, Ledger::Removal::kMismatched);
  if (plan.tails != nullptr) Tiers::Process().Remove(TierKeyOf(key, plan.tails[unit]));
  const bool disable = Config::Process().on_mismatch() == OnMismatch::kDisable;
  if (disable) region_.disabled.store(true, std::memory_order_relaxed);
  std::ostringstream text;
  text << "actcache: region \"" << region_.id << "\": a row that was computed again is "
       << difference << " (relative) away from what was cached, more than the tolerance of "
       << tolerance() << "; the entry is removed" << (disable ? " and the region turned off" : "");
  io.Warn(text.str());
}

void UnitKeeper::KeepApart(const KernelIo& io, Origin origin, double difference) const {
  if (!Origins::Process().KeepApart(origin)) return;
  RegionCounters::Add(region_.counters.kept_apart, 1);
  std::ostringstream text;
  text << "actcache: region \"" << region_.id << "\": this session computes a row " << difference
       << " (relative) away from what another session has stored for the same input, "
       << "more than the tolerance of " << tolerance()
       << ". It keeps its own entries from now on and uses none of the others'. If the compiled "
       << "model was edited, compile the edited original instead; if the sessions' options differ, "
       << "give each a namespace of its own; if both are right, raise verify_tolerance";
  io.Warn(text.str());
}

}  // namespace actcache
