#include "region/registry.h"

#include <new>

namespace actcache {

const char* RegionStateText(RegionState state) noexcept {
  switch (state) {
    case RegionState::kActive:
      return "active";
    case RegionState::kBypassed:
      return "bypassed";
    case RegionState::kDisabled:
      break;
  }
  return "disabled";
}

Registry& Registry::Process() {
  // Never destroyed: kernels of sessions that outlive main() may still count.
  static auto* const registry = new Registry;
  return *registry;
}

Region& Registry::InternRegion(const std::string& id, const std::string& fingerprint) {
  const MutexLock lock(&mutex_);
  Region*& region = by_name_[{id, fingerprint}];
  if (region == nullptr) {
    region = &regions_.emplace_back(static_cast<std::uint32_t>(regions_.size()), id, fingerprint);
  }
  return *region;
}

std::vector<const Region*> Registry::Regions() const {
  const MutexLock lock(&mutex_);
  std::vector<const Region*> regions;
  regions.reserve(regions_.size());
  for (const Region& region : regions_) regions.push_back(&region);
  return regions;
}

bool Registry::AppendLogged(const std::string& id, const std::string& fingerprint,
                            const LoggedCall& call) {
  const MutexLock lock(&mutex_);
  const auto found = by_name_.find({id, fingerprint});
  if (found == by_name_.end()) return false;
  found->second->logged.Append(call);
  return true;
}

bool Registry::AppendFetched(const std::string& id, const std::string& fingerprint,
                             const FetchedUnit& unit) {
  const MutexLock lock(&mutex_);
  const auto found = by_name_.find({id, fingerprint});
  return found != by_name_.end() && found->second->logged.AppendFetched(unit);
}

void Registry::LockForFork() const ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  mutex_.Lock();
  namespaces_.LockForFork();
}

void Registry::UnlockAfterFork() const ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  namespaces_.UnlockAfterFork();
  mutex_.Unlock();
}

// REQUIRES, which the analysis cannot see: the lock, from LockForFork().
void Registry::ResetCounters() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  for (Region& region : regions_) {
    new (&region.counters) RegionCounters;
    // Their locks may have been held by a thread that the child does not have.
    new (&region.policy) RegionPolicy;
    new (&region.logged) LoggedCalls;
    new (&region.tiers) RegionUse;
    region.audited_state.store(RegionState::kActive, std::memory_order_relaxed);
  }
}

}  // namespace actcache
