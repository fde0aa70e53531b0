// What becomes of the units that were computed: each is stored, or compared with its entry.
#ifndef ACTCACHE_OPS_UNIT_KEEPER_H_
#define ACTCACHE_OPS_UNIT_KEEPER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/outcomes.h"
#include "base/small_vector.h"
#include "ops/kernel_io.h"
#include "policy/origins.h"
#include "policy/region_policy.h"
#include "region/registry.h"
#include "store/draft.h"
#include "tier/tiers.h"
#include "units/call_plan.h"
#include "units/computed_units.h"
#include "units/cut.h"
#include "units/parallel.h"

namespace actcache {

// Of one region in one session. Thread-safe.
class UnitKeeper {
 public:
  // `tolerance`: what the region asks for, beside the knob. `ttl_ns`: of what is stored.
  UnitKeeper(Region& region, double tolerance, std::uint64_t ttl_ns)
      : region_(region), tolerance_(tolerance), ttl_ns_(ttl_ns) {}

  using Outcome = StoreOutcome;

  // One call.
  struct Call {
    const CallPlan& plan;
    const Cut& cut;
    const std::vector<TensorView>& computed;
    RegionPolicy::EntryCost cost;  // of a unit
    std::uint64_t now_ns;
    const std::string* logged = nullptr;  // in a replay: the letters of what became of the units
  };
  struct Kept {
    SmallVector<Outcome, 64> outcomes;  // of the computed units; kNothing if not seen to
    std::uint64_t stored_bytes = 0;
    std::uint64_t shared_ns = 0;  // handing units to tiers
    bool spared = false;          // those seen for the first time were not to be stored
  };

  // Never throws: what cannot be stored is merely computed again.
  Kept Keep(const KernelIo& io, const Call& call, const Parallel& parallel) const noexcept;

 private:
  struct Work;

  // Which units are not to be stored, as nothing says that they come again; notes their keys.
  void SpareFirstSights(Work& work) const;
  // Of a chained cut: the next unit is the first computed one of a row; it follows one that is
  // kept.
  void BeginChain(Work& work, std::size_t row) const;
  void GoOnBehind(Work& work, std::size_t unit) const;
  // Compares computed unit `unit`, or reserves its place, or finds that it has none. As many
  // `followers` are behind it in its row.
  void See(Work& work, std::size_t unit, std::size_t followers) const;
  Draft Reserve(const Work& work, std::size_t unit, std::size_t followers) const;
  // Fills the places that are reserved.
  void Publish(Work& work) const;
  // What became of a unit that was to be stored.
  void Finish(Work& work, std::size_t unit, Outcome outcome) const;
  // What a unit follows outside of the process. REQUIRES: its key has a second half.
  static std::optional<TierKey> BeforeOf(const Call& call, std::size_t unit);
  // Writes it to the tiers, if there are any. REQUIRES: its key has a second half.
  void PutToTiers(const Call& call, const ComputedUnits& units, std::size_t unit,
                  const Parallel& parallel) const;
  Outcome Verify(const KernelIo& io, const Call& call, const ComputedUnits& units,
                 std::size_t unit) const;
  // After a unit that differs from its entry: of another session, of this one.
  void KeepApart(const KernelIo& io, Origin origin, double difference) const;
  void Distrust(const KernelIo& io, const CallPlan& plan, std::size_t unit,
                double difference) const;
  // Largest relative difference that counts as equal.
  double tolerance() const;

  Region& region_;
  const double tolerance_;
  const std::uint64_t ttl_ns_;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_UNIT_KEEPER_H_
