// The connections to the server: who uses one, who waits for one.
#ifndef ACTCACHE_TIER_REMOTE_LINK_POOL_H_
#define ACTCACHE_TIER_REMOTE_LINK_POOL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "tier/remote/link.h"
#include "tier/remote/time_source.h"

namespace actcache {

// Links of three lanes, so that nobody waits behind a value that is larger, or on its way out. Only
// the background thread makes links; callers wait for them no longer than they say. Thread-safe;
// nothing throws.
class LinkPool {
 public:
  enum Lane : std::size_t { kSmall, kLarge, kWrites, kLanes };

  // `time` has to outlive it.
  explicit LinkPool(TimeSource* time) : time_(*time) {}

  // A link of one caller's. It goes back with GiveBack() or Discard().
  struct Taken {
    std::unique_ptr<Link> link;  // null: there was none in time
    std::uint64_t generation = 0;
  };
  // Waits for a link until `until_ns`, but no longer than until Clear().
  Taken Take(Lane lane, std::uint64_t until_ns) noexcept ACTCACHE_EXCLUDES(mutex_);
  void GiveBack(Lane lane, Taken taken) noexcept ACTCACHE_EXCLUDES(mutex_);
  // The link is of no more use, and freed by the caller. Whether it was of the present generation:
  // what a link of an earlier one has met says nothing of the server as it is now.
  bool Discard(Lane lane, const Taken& taken) noexcept ACTCACHE_EXCLUDES(mutex_);

  // Closes all links and begins a new generation.
  void Clear() noexcept ACTCACHE_EXCLUDES(mutex_);

  // For the background thread. Whether a caller waits for a link that may be made; for the links.
  bool Wanted(Lane* lane) noexcept ACTCACHE_EXCLUDES(mutex_);
  void Add(Lane lane, std::unique_ptr<Link> link) noexcept ACTCACHE_EXCLUDES(mutex_);
  // Waits until Wake(), or `until_ns`, or, if links may be made, until a caller waits for one.
  void AwaitWork(std::uint64_t until_ns, bool may_open) noexcept ACTCACHE_EXCLUDES(mutex_);

  void Wake() noexcept ACTCACHE_EXCLUDES(mutex_);
  // Waits for Announce(), or until `until_ns`.
  template <typename Happened>
  void AwaitNews(const Happened& happened, std::uint64_t until_ns) noexcept
      ACTCACHE_EXCLUDES(mutex_) {
    const MutexLock lock(&mutex_);
    while (!happened() && time_.Now() < until_ns) time_.Wait(&news_, &mutex_, until_ns);
  }
  void Announce() noexcept ACTCACHE_EXCLUDES(mutex_) {
    const MutexLock lock(&mutex_);
    news_.NotifyAll();
  }

  // For host/fork.h.
  void LockForFork() noexcept;
  void UnlockAfterFork() noexcept;
  // Closes what lies idle, in the child: its parent goes on using the same connections. The pool is
  // of no more use. REQUIRES: LockForFork(), and no other thread.
  void AbandonInForkedChild() noexcept;

 private:
  using Links = std::vector<std::unique_ptr<Link>>;

  struct LaneLinks {
    Links idle;
    std::size_t open = 0;     // idle or taken
    std::size_t waiting = 0;  // callers
  };

  static constexpr std::array<std::size_t, kLanes> kMost = {4, 2, 1};

  bool Wanted(const LaneLinks& links, Lane lane) const noexcept {
    return links.waiting > 0 && links.open < kMost[lane];
  }
  bool AnyWanted() const noexcept ACTCACHE_REQUIRES(mutex_);
  void Put(Lane lane, std::unique_ptr<Link> link) noexcept ACTCACHE_REQUIRES(mutex_);

  TimeSource& time_;
  Mutex mutex_;
  Condition news_;  // a link came back or was added, a generation began, Announce()
  Condition work_;
  std::array<LaneLinks, kLanes> lanes_ ACTCACHE_GUARDED_BY(mutex_);
  std::uint64_t generation_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  bool woken_ ACTCACHE_GUARDED_BY(mutex_) = false;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_LINK_POOL_H_
