// What is counted for the regions at one moment, for all who tell it to others.
#ifndef ACTCACHE_REGION_REGION_SNAPSHOT_H_
#define ACTCACHE_REGION_REGION_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "policy/region_policy.h"
#include "region/registry.h"
#include "store/store.h"

namespace actcache {

// Of RegionCounters, the policy and the store. No part exceeds its whole: duplicates + joined <=
// hits, expired + verified <= misses, compared and mismatches <=
// verified, first_sights <= not_admitted.
struct RegionSnapshot {
  std::string name;  // unique: the id, or the id and a part of the fingerprint
  std::string fingerprint;
  std::uint64_t calls;
  std::uint64_t hits;
  std::uint64_t misses;
  std::uint64_t bypassed;
  std::uint64_t duplicates;
  std::uint64_t joined;
  std::uint64_t disk_hits;
  std::uint64_t remote_hits;
  std::uint64_t expired;
  std::uint64_t verified;
  std::uint64_t compared;
  std::uint64_t mismatches;
  std::uint64_t kept_apart;
  std::uint64_t stored;
  std::uint64_t not_admitted;
  std::uint64_t first_sights;
  std::uint64_t anomalies;
  std::uint64_t saved_ns;
  std::uint64_t hash_ns;
  std::uint64_t copy_ns;
  std::uint64_t compute_ns;
  std::uint64_t overhead_ns;
  RegionState state;
  RegionPolicy::Stats policy;
  RegionUsage usage;
};

// All regions, in the order they were first seen. May throw std::bad_alloc.
std::vector<RegionSnapshot> SnapshotRegions(const Registry& registry, const Store& store);

}  // namespace actcache

#endif  // ACTCACHE_REGION_REGION_SNAPSHOT_H_
