#include "tier/remote/link_pool.h"

#include <utility>

namespace actcache {

LinkPool::Taken LinkPool::Take(Lane lane, std::uint64_t until_ns) noexcept {
  const MutexLock lock(&mutex_);
  LaneLinks& links = lanes_[lane];
  const std::uint64_t generation = generation_;
  while (generation == generation_) {
    while (!links.idle.empty()) {
      std::unique_ptr<Link> link = std::move(links.idle.back());
      links.idle.pop_back();
      if (link->Idle()) return {std::move(link), generation};
      --links.open;  // and closed: quick, as it waits for nobody
    }
    if (time_.Now() >= until_ns) break;
    ++links.waiting;
    if (Wanted(links, lane)) work_.NotifyAll();
    time_.Wait(&news_, &mutex_, until_ns);
    --links.waiting;
  }
  return {};
}

void LinkPool::GiveBack(Lane lane, Taken taken) noexcept {
  const MutexLock lock(&mutex_);
  if (taken.generation == generation_) Put(lane, std::move(taken.link));
}

bool LinkPool::Discard(Lane lane, const Taken& taken) noexcept {
  const MutexLock lock(&mutex_);
  if (taken.generation != generation_) return false;
  --lanes_[lane].open;
  return true;
}

void LinkPool::Clear() noexcept {
  std::array<Links, kLanes> closed;  // freed after the lock
  const MutexLock lock(&mutex_);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    closed[lane].swap(lanes_[lane].idle);
    lanes_[lane].open = 0;
  }
  ++generation_;
  news_.NotifyAll();
}

bool LinkPool::Wanted(Lane* lane) noexcept {
  const MutexLock lock(&mutex_);
  for (const Lane each : {kSmall, kLarge, kWrites}) {
    if (!Wanted(lanes_[each], each)) continue;
    *lane = each;
    return true;
  }
  return false;
}

bool LinkPool::AnyWanted() const noexcept {
  for (const Lane each : {kSmall, kLarge, kWrites}) {
    if (Wanted(lanes_[each], each)) return true;
  }
  return false;
}

void LinkPool::Add(Lane lane, std::unique_ptr<Link> link) noexcept {
  const MutexLock lock(&mutex_);
  ++lanes_[lane].open;
  Put(lane, std::move(link));
}

void LinkPool::Put(Lane lane, std::unique_ptr<Link> link) noexcept {
  try {
    lanes_[lane].idle.push_back(std::move(link));
  } catch (...) {
    --lanes_[lane].open;  // no memory
  }
  news_.NotifyAll();
}

void LinkPool::AwaitWork(std::uint64_t until_ns, bool may_open) noexcept {
  const MutexLock lock(&mutex_);
  while (!woken_ && !(may_open && AnyWanted()) && time_.Now() < until_ns) {
    time_.Wait(&work_, &mutex_, until_ns);
  }
  woken_ = false;
}

void LinkPool::Wake() noexcept {
  const MutexLock lock(&mutex_);
  woken_ = true;
  work_.NotifyAll();
}

void LinkPool::LockForFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Lock(); }

void LinkPool::UnlockAfterFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Unlock(); }

void LinkPool::AbandonInForkedChild() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  for (LaneLinks& links : lanes_) links.idle.clear();
}

}  // namespace actcache
