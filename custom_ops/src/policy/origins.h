// Which sessions are known to compute the same, so that they may use each other's entries.
//
// Keys cover what a model and its options say. What they cannot say is left to trust: a compiled
// model that another tool has edited keeps its fingerprint, and sessions may differ in the level of
// optimisation. So entries carry an origin, a number for the identity of who made them. Sessions
// of one identity compute the same, by what is in it (ops/session_identity.h), and have one origin.
// An entry of another origin is not used: its row is computed all the same and compared. After
// kProof rows that are equal both origins are of one class, and nothing is compared any more. After
// one that differs who compared keeps to itself for good.
#ifndef ACTCACHE_POLICY_ORIGINS_H_
#define ACTCACHE_POLICY_ORIGINS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>

#include "base/mutex.h"
#include "hash/digest.h"

namespace actcache {

using Origin = std::uint16_t;

// Thread-safe.
class Origins {
 public:
  // Rows that have to be equal before the entries of a class are used.
  static constexpr std::uint32_t kProof = 2;
  static constexpr Origin kNone = 0xffff;  // all are taken: who gets it has to keep to itself

  static Origins& Process();

  Origins() = default;
  ~Origins();
  Origins(const Origins&) = delete;
  Origins& operator=(const Origins&) = delete;

  // The one of that identity, made if need be; kNone if all are taken, and for zeros: of those it
  // is not known who they are. May throw std::bad_alloc.
  Origin Of(const Digest& identity);

  // Zeros if nobody has the origin. Of a session that nothing vouches for, no other process and no
  // other session has the identity (ops/session_identity.h).
  Digest IdentityOf(Origin origin) noexcept;

  // What stands for the class of `origin`; equal exactly for origins of one class. Without a lock.
  Origin ClassOf(Origin origin) const noexcept {
    const Member* const member = Find(origin);
    return member == nullptr ? kNone : member->in_class.load(std::memory_order_relaxed);
  }

  // Whether who has it keeps to itself. Without a lock.
  bool IsApart(Origin origin) const noexcept {
    const Member* const member = Find(origin);
    return member == nullptr || member->apart.load(std::memory_order_relaxed);
  }

  // A row of `other`'s was computed by `mine` and is equal.
  void Agree(Origin mine, Origin other) noexcept;

  // Such a row differs: `mine` is of no class with others from now on. False if it was so already.
  bool KeepApart(Origin mine) noexcept;

  // For host/fork.h. Who has the lock waits for nobody: it is taken last.
  void LockForFork() noexcept ACTCACHE_ACQUIRE(mutex_) { mutex_.Lock(); }
  void UnlockAfterFork() noexcept ACTCACHE_RELEASE(mutex_) { mutex_.Unlock(); }

 private:
  static constexpr std::size_t kPage = 256;
  struct Member {
    std::atomic<Origin> in_class{kNone};
    std::atomic<bool> apart{false};
    // The rest is under mutex_. The class that it was last compared with, and how many rows in a
    // row were equal.
    Origin compared_with = kNone;
    std::uint32_t equal_rows = 0;
    Digest identity{};
  };
  using Page = std::array<Member, kPage>;

  // Null if nobody has the origin.
  const Member* Find(Origin origin) const noexcept {
    const Page* const page = pages_[origin / kPage].load(std::memory_order_acquire);
    return page == nullptr ? nullptr : &(*page)[origin % kPage];
  }
  Member& At(Origin origin) ACTCACHE_REQUIRES(mutex_) {
    return (*pages_[origin / kPage].load(std::memory_order_relaxed))[origin % kPage];
  }
  // Puts all of class `from` into `to`, but for `left_out`.
  void Move(Origin from, Origin to, Origin left_out) noexcept ACTCACHE_REQUIRES(mutex_);

  Mutex mutex_;
  Origin next_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::map<Digest, Origin> origins_ ACTCACHE_GUARDED_BY(mutex_);
  // By origin. A page is made with its first origin, and kept.
  std::array<std::atomic<Page*>, 65536 / kPage> pages_{};
};

}  // namespace actcache

#endif  // ACTCACHE_POLICY_ORIGINS_H_
