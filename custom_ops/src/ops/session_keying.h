// The keyings of one region in one session: what of the session is part of its keys, and with whom
// it shares entries.
#ifndef ACTCACHE_OPS_SESSION_KEYING_H_
#define ACTCACHE_OPS_SESSION_KEYING_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "hash/hasher.h"
#include "ops/kernel_io.h"
#include "ops/region_attributes.h"
#include "ops/session.h"
#include "ops/session_constants.h"
#include "policy/origins.h"
#include "units/keying.h"

namespace actcache {

// Of one CacheLookup, whose attributes, cut and session it refers to. Thread-safe.
class SessionKeying {
 public:
  SessionKeying(const RegionAttributes& attributes, const Cut& cut, const SessionSettings& session,
                std::shared_ptr<SessionConstants> constants);
  ~SessionKeying();
  SessionKeying(const SessionKeying&) = delete;
  SessionKeying& operator=(const SessionKeying&) = delete;

  // For the next call. Keys that name values outside of the process (`tiers`) have 256 bits, which
  // only BLAKE3 has, whatever `hash` says. May throw std::bad_alloc. REQUIRES: all kernels of the
  // session are there.
  const Keying& Of(HashKind hash, bool tiers, const KernelIo& io) const;

  // Whether what is proven of the region holds in this session, which may have replaced constants
  // that the proof rests on. May throw std::bad_alloc. REQUIRES: as Of().
  bool ProofHolds(const KernelIo& io) const;

  // Whose entries the session makes. kNone before the first Of().
  Origin origin() const noexcept { return origin_.load(std::memory_order_relaxed); }

  // For host/fork.h: keyings are made before or after a fork, not meanwhile.
  static void LockForFork() ACTCACHE_ACQUIRE(renewing_) { renewing_.Lock(); }
  static void UnlockAfterFork() ACTCACHE_RELEASE(renewing_) { renewing_.Unlock(); }

 private:
  struct Keyings;

  // `agreed`: what sessions that share entries agree in, and where it means the same.
  std::unique_ptr<Keyings> Make(const std::string& agreed, KeyScope scope) const;
  // As long as the session does not keep to itself. Finds out who the session is.
  std::unique_ptr<Keyings> MakeShared() const;
  // Once it does.
  std::unique_ptr<Keyings> MakeOwn() const;
  static bool IsCurrent(const Keyings* keyings);
  // Those in `kept`; made, if they are not there or are of an earlier secret.
  const Keyings& Current(std::atomic<const Keyings*>* kept, const KernelIo& io) const;
  // The same under the lock; and whether it has made them.
  std::pair<const Keyings&, bool> Renewed(std::atomic<const Keyings*>* kept) const
      ACTCACHE_EXCLUDES(renewing_);

  const RegionAttributes& attributes_;
  const Cut& cut_;
  const SessionSettings& session_;
  mutable std::atomic<Origin> origin_{Origins::kNone};
  const std::shared_ptr<SessionConstants> constants_;
  // Of the secret that was the process's when they were made (hash/secret.h). Null: not made yet.
  mutable std::atomic<const Keyings*> shared_{nullptr};
  mutable std::atomic<const Keyings*> own_{nullptr};
  // One for the process, so that a fork can take it. Held while keyings are made: once for each
  // region of a session, and again after the secret has changed.
  inline static Mutex renewing_;
  // All that there were: calls may be using them.
  mutable std::vector<std::unique_ptr<const Keyings>> made_ ACTCACHE_GUARDED_BY(renewing_);
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_SESSION_KEYING_H_
