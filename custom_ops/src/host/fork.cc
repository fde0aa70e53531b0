#include "host/fork.h"

#include <pthread.h>

#include <atomic>

#include "audit/audit_log.h"
#include "base/block_pool.h"
#include "base/forked.h"
#include "base/mutex.h"
#include "config/config.h"
#include "flight/flight_table.h"
#include "flight/thread_activity.h"
#include "hash/hasher.h"
#include "host/register.h"
#include "metrics/metrics_file.h"
#include "ops/hand_over_table.h"
#include "ops/session_keying.h"
#include "policy/origins.h"
#include "region/registry.h"
#include "store/store.h"
#include "tier/tiers.h"

namespace actcache {
namespace {

// The analysis follows no lock from one function into another.
void BeforeFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  operators_mutex.Lock();
  SessionKeying::LockForFork();
  Config::LockForFork();
  AuditLog::LockForFork();
  Registry::Process().LockForFork();
  Tiers::Process().LockForFork();
  Origins::Process().LockForFork();
}

// What parent and child do alike.
void Unlock() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  Registry::Process().UnlockAfterFork();
  Config::UnlockAfterFork();
  SessionKeying::UnlockAfterFork();
  operators_mutex.Unlock();
}

void AfterForkInParent() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  Origins::Process().UnlockAfterFork();
  Tiers::Process().UnlockAfterFork();
  AuditLog::UnlockAfterForkInParent();
  Unlock();
}

void AfterForkInChild() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  forked.store(true, std::memory_order_relaxed);
  Origins::Process().UnlockAfterFork();
  Tiers::Process().ReopenInForkedChild();
  RenumberForkedThread();
  FlightTable::ReplaceInForkedChild();
  HandOverTable::ReplaceInForkedChild();  // before the store, whose entries it holds
  Store::ReplaceInForkedChild();
  BlockPool::ReplaceInForkedChild();
  Registry::Process().ResetCounters();
  MetricsFile::ReplaceInForkedChild();
  Config::ApplyAfterFork();
  AuditLog::ReplaceInForkedChild();
  Unlock();
}

}  // namespace

void InstallForkHandlers() noexcept {
  BlockPool::Process();
  Store::Process();
  FlightTable::Process();
  HandOverTable::Process();
  Registry::Process();
  Origins::Process();
  MetricsFile::Process();
  AuditLog::Process();
  Tiers::Process();
  for (const HashKind kind : {HashKind::kBlake3, HashKind::kXxh3}) {
    const Hasher unused(kind);  // draws the secret, and chooses the code for this processor
    static_cast<void>(unused);
  }
  // It fails for want of memory only, and then a fork is as unsafe as it is for most libraries.
  static_cast<void>(pthread_atfork(&BeforeFork, &AfterForkInParent, &AfterForkInChild));
}

}  // namespace actcache
