#include "ops/unit_keeper.h"

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>

#include "base/clock.h"
#include "config/config.h"
#include "policy/origins.h"
#include "store/store.h"
#include "tier/tiers.h"

namespace actcache {

UnitKeeper::Kept UnitKeeper::Keep(const KernelIo& io, const Call& call,
                                  const Parallel& parallel) const noexcept {
  Kept kept;
  std::uint64_t stored = 0;
  std::uint64_t not_offered = 0;  // what was compared, or is kept already
  try {
    const ComputedUnits units(call.cut, call.computed);
    kept.outcomes.resize(call.plan.missing, Outcome::kNothing);
    for (std::size_t i = 0; i < call.plan.missing; ++i) {
      // Of a chain the first units are needed by all: they are to be the last that are evicted.
      const std::size_t unit = call.cut.chained() ? call.plan.missing - 1 - i : i;
      if ((call.plan.flags[unit] & (kVerify | kKept)) != 0) ++not_offered;
      kept.outcomes[unit] = See(io, call, units, unit, parallel, &kept.shared_ns);
      if (kept.outcomes[unit] == Outcome::kStored) ++stored;
    }
    kept.stored_bytes = stored * units.unit_bytes();
  } catch (...) {
    // The results are written already.
  }
  RegionCounters::Add(region_.counters.stored, stored);
  RegionCounters::Add(region_.counters.not_admitted, call.plan.missing - stored - not_offered);
  return kept;
}

UnitKeeper::Outcome UnitKeeper::See(const KernelIo& io, const Call& call,
                                    const ComputedUnits& units, std::size_t unit,
                                    const Parallel& parallel, std::uint64_t* shared_ns) const {
  const std::uint8_t flags = call.plan.flags[unit];
  if ((flags & kVerify) != 0) return Verify(io, call, units, unit);
  if ((flags & kKept) != 0) return Outcome::kPresent;
  const Outcome outcome = Publish(call, units, unit, parallel);
  // What is there already, somebody else has written.
  if (outcome != Outcome::kPresent && call.plan.tails != nullptr) {
    const std::uint64_t start = SteadyNow();
    PutToTiers(call, units, unit, parallel);
    *shared_ns += SteadyNow() - start;
  }
  if (outcome != Outcome::kStored && (flags & kReplace) != 0) {
    // Nothing took the place of what nobody wants any more: it must not be found again.
    Store::Process().Remove(call.plan.keys[unit], Ledger::Removal::kOutdated);
  }
  return outcome;
}

UnitKeeper::Outcome UnitKeeper::Publish(const Call& call, const ComputedUnits& units,
                                        std::size_t unit, const Parallel& parallel) const {
  Offer offer{};
  offer.key = call.plan.keys[unit];
  offer.tag = EntryTag{call.plan.name_space, region_.number};
  offer.specs = units.specs().data();
  offer.count = units.specs().size();
  offer.cost_ns = call.cost.recompute_ns;
  offer.fetch_ns = call.cost.fetch_ns;
  offer.now_ns = call.now_ns;
  offer.ttl_ns = ttl_ns_;
  offer.scope = call.plan.scope;
  offer.origin = call.plan.origin;
  offer.replace = (call.plan.flags[unit] & kReplace) != 0;
  Store& store = Store::Process();
  Draft draft = store.Reserve(offer);
  if (!draft) {
    return draft.rejection() == Rejection::kPresent ? Outcome::kPresent : Outcome::kRefused;
  }
  SmallVector<void*, 16> places(units.specs().size());
  draft.AllData(places.data());
  units.CopyTo([&](std::size_t i) { return static_cast<std::byte*>(places[i]); }, unit, parallel);
  return store.Publish(std::move(draft)) ? Outcome::kStored : Outcome::kRefused;
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
  tiers.Put(
      &region_.tiers, fields, units.specs(),
      [&](Record* record) {
        units.CopyTo([&](std::size_t i) { return record->payload(i); }, unit, parallel);
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
