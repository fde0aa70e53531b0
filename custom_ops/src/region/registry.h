// The regions and namespaces this process has seen, and what is counted for each region.
//
// Regions and namespaces get small numbers, which tag the store's entries. Both live until the
// process ends: sessions come and go, their counts stay.
#ifndef ACTCACHE_REGION_REGISTRY_H_
#define ACTCACHE_REGION_REGISTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/sampler.h"
#include "flight/recompute_time.h"
#include "policy/region_policy.h"
#include "policy/signature_filter.h"
#include "region/logged_calls.h"
#include "region/namespaces.h"
#include "tier/region_use.h"

namespace actcache {

// Counted in rows (a lookup of a whole call is one row), but for `calls`, `anomalies` and
// `kept_apart`. Every kernel of every session adds to these, so each region's have cache lines of
// their own.
//
// There is no count of lookups: it is hits + misses + bypassed by definition, also in the middle of
// a concurrent call. Writers add a count before its parts (hits before duplicates and joined,
// misses before expired, verified before compared and mismatches) and readers read them the other
// way round, so that a part never exceeds the whole.
struct alignas(64) RegionCounters {
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> hits{0};    // `duplicates` and `joined` included
  std::atomic<std::uint64_t> misses{0};  // `expired` included
  std::atomic<std::uint64_t> bypassed{0};
  std::atomic<std::uint64_t> duplicates{0};   // hits on an equal row of the same call
  std::atomic<std::uint64_t> joined{0};       // hits that waited for another call's computation
  std::atomic<std::uint64_t> disk_hits{0};    // hits on rows that a tier had
  std::atomic<std::uint64_t> remote_hits{0};  // likewise
  std::atomic<std::uint64_t> expired{0};      // misses whose entry was there, but too old
  std::atomic<std::uint64_t> verified{0};     // rows recomputed to compare them with their entry
  std::atomic<std::uint64_t> compared{0};     // those of `verified` that another session had made
  std::atomic<std::uint64_t> mismatches{0};   // those of `verified` that differed
  std::atomic<std::uint64_t> kept_apart{0};   // sessions that keep to themselves after one of them
  std::atomic<std::uint64_t> stored{0};
  std::atomic<std::uint64_t> not_admitted{0};  // `first_sights` included
  std::atomic<std::uint64_t> first_sights{0};  // not stored, as nothing repeated so far
  std::atomic<std::uint64_t> anomalies{0};
  std::atomic<std::uint64_t> saved_ns{0};
  std::atomic<std::uint64_t> hash_ns{0};
  std::atomic<std::uint64_t> copy_ns{0};
  std::atomic<std::uint64_t> compute_ns{0};
  std::atomic<std::uint64_t> overhead_ns{0};  // in both operators, `hash` and `copy` included

  static void Add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) {
    // Most are 0 most of the time, and an atomic addition is not free.
    if (amount != 0) counter.fetch_add(amount, std::memory_order_release);
  }
};

enum class RegionState : std::uint8_t { kActive, kBypassed, kDisabled };

// As the statistics call it.
const char* RegionStateText(RegionState state) noexcept;

struct Region {
  Region(std::uint32_t number_in, std::string id_in, std::string fingerprint_in)
      : number(number_in), id(std::move(id_in)), fingerprint(std::move(fingerprint_in)) {}

  // Whether it looks anything up, now.
  RegionState state() const noexcept {
    if (disabled.load(std::memory_order_relaxed)) return RegionState::kDisabled;
    return policy.bypassed() ? RegionState::kBypassed : RegionState::kActive;
  }

  RegionCounters counters;  // first: it is aligned
  const std::uint32_t number;
  const std::string id;
  const std::string fingerprint;
  RegionPolicy policy;
  SignatureFilter signatures;  // of the rows that the policy watches
  SignatureFilter computed;    // keys of rows that were computed while first sights were not stored
  RecomputeTime recompute_time;
  RegionUse tiers;                    // what it has learnt of them
  LoggedCalls logged;                 // for a replay
  Sampler verification;               // of hits
  std::atomic<bool> disabled{false};  // by a mismatch, until the process ends
  // For the audit log: what an entry of it is, and what was last said of it.
  std::atomic<const char*> granularity{"tensor"};
  std::atomic<RegionState> audited_state{RegionState::kActive};
};

// Thread-safe.
class Registry {
 public:
  static Registry& Process();

  // The one object for this id and fingerprint; never freed.
  Region& InternRegion(const std::string& id, const std::string& fingerprint);

  // As Namespaces::Intern() and Find().
  std::optional<std::uint32_t> InternNamespace(std::string_view name) {
    return namespaces_.Intern(name);
  }
  std::optional<std::uint32_t> FindNamespace(std::string_view name) const {
    return namespaces_.Find(name);
  }

  const Namespaces& namespaces() const { return namespaces_; }

  // All regions, in the order they were first seen.
  std::vector<const Region*> Regions() const;

  // False if there is no such region.
  bool AppendLogged(const std::string& id, const std::string& fingerprint, const LoggedCall& call);
  // Adds to the last call that was appended. False if there is none, or if it was made already.
  bool AppendFetched(const std::string& id, const std::string& fingerprint,
                     const FetchedUnit& unit);

  // For host/fork.h: hold all locks around fork(); what a child counts and weighs starts anew.
  void LockForFork() const;
  void UnlockAfterFork() const;
  void ResetCounters();

 private:
  mutable Mutex mutex_;
  std::deque<Region> regions_ ACTCACHE_GUARDED_BY(mutex_);  // a deque: growing moves nothing
  std::map<std::pair<std::string, std::string>, Region*> by_name_ ACTCACHE_GUARDED_BY(mutex_);
  Namespaces namespaces_;
};

}  // namespace actcache

#endif  // ACTCACHE_REGION_REGISTRY_H_
