#include "region/region_snapshot.h"

#include <atomic>
#include <set>
#include <utility>

#include "base/json_text.h"

namespace actcache {
namespace {

std::uint64_t Read(const std::atomic<std::uint64_t>& counter) {
  return counter.load(std::memory_order_acquire);
}

RegionSnapshot Snapshot(const Region& region, std::string name, const Store& store) {
  const RegionCounters& counters = region.counters;
  RegionSnapshot snapshot{};
  snapshot.name = std::move(name);
  snapshot.fingerprint = region.fingerprint;
  // The parts before what they are parts of: see RegionCounters.
  snapshot.duplicates = Read(counters.duplicates);
  snapshot.joined = Read(counters.joined);
  snapshot.disk_hits = Read(counters.disk_hits);
  snapshot.remote_hits = Read(counters.remote_hits);
  snapshot.expired = Read(counters.expired);
  snapshot.compared = Read(counters.compared);
  snapshot.mismatches = Read(counters.mismatches);
  snapshot.verified = Read(counters.verified);
  snapshot.hits = Read(counters.hits);
  snapshot.misses = Read(counters.misses);
  snapshot.bypassed = Read(counters.bypassed);
  snapshot.calls = Read(counters.calls);
  snapshot.stored = Read(counters.stored);
  snapshot.first_sights = Read(counters.first_sights);
  snapshot.not_admitted = Read(counters.not_admitted);
  snapshot.kept_apart = Read(counters.kept_apart);
  snapshot.anomalies = Read(counters.anomalies);
  snapshot.saved_ns = Read(counters.saved_ns);
  snapshot.hash_ns = Read(counters.hash_ns);
  snapshot.copy_ns = Read(counters.copy_ns);
  snapshot.compute_ns = Read(counters.compute_ns);
  snapshot.overhead_ns = Read(counters.overhead_ns);
  snapshot.policy = region.policy.stats();
  snapshot.state = region.state();
  snapshot.usage = store.usage(region.number);
  return snapshot;
}

}  // namespace

std::vector<RegionSnapshot> SnapshotRegions(const Registry& registry, const Store& store) {
  std::vector<RegionSnapshot> snapshots;
  std::set<std::string> taken;  // as others will read them
  for (const Region* region : registry.Regions()) {
    // Two models may name different regions alike; the first keeps the plain name.
    std::string name = region->id;
    while (!taken.insert(JsonString(name)).second) name += "@" + region->fingerprint.substr(0, 8);
    snapshots.push_back(Snapshot(*region, std::move(name), store));
  }
  return snapshots;
}

}  // namespace actcache
