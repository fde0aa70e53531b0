#include "tier/remote/remote_client.h"

#include <pthread.h>

#include <thread>

#include "base/signals_blocked.h"

namespace actcache {

void RemoteClient::Start() noexcept {
  if (started_.exchange(true)) return;
  try {
    const SignalsBlocked blocked;
    std::thread([self = shared_from_this()] { self->Run(); }).detach();
  } catch (...) {
    SetProblem("no thread can be started");
    first_probe_over_.store(true, std::memory_order_release);
  }
}

void RemoteClient::Stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  first_probe_over_.store(true, std::memory_order_release);
  pool_.Announce();
  pool_.Wake();
}

void RemoteClient::Fail() noexcept {
  breaker_.Failed(time_->Now());
  pool_.Clear();
  pool_.Wake();
}

void RemoteClient::RemoveLater(std::string key) noexcept {
  {
    const MutexLock lock(&mutex_);
    if (removals_.size() == kMostRemovals) return;
    try {
      removals_.push_back(std::move(key));
    } catch (...) {
      return;  // no memory: it is found damaged again
    }
  }
  pool_.Wake();
}

bool RemoteClient::AwaitFirstProbe(std::uint64_t deadline_ns) noexcept {
  Start();
  pool_.AwaitNews([this] { return first_probe_over_.load(std::memory_order_acquire); },
                  deadline_ns);
  // It has cost one deadline now, and that is enough.
  first_probe_over_.store(true, std::memory_order_release);
  return breaker_.closed();
}

std::uint64_t RemoteClient::Step() noexcept {
  if (breaker_.BeginProbe(time_->Now())) {
    const bool answered = Open(LinkPool::kSmall);
    breaker_.ProbeEnded(answered, time_->Now());
    first_probe_over_.store(true, std::memory_order_release);
    pool_.Announce();
  } else if (LinkPool::Lane lane; breaker_.closed() && pool_.Wanted(&lane)) {
    if (!Open(lane)) Fail();
  }
  if (breaker_.closed()) Remove();
  return breaker_.probe_at_ns();
}

bool RemoteClient::Open(LinkPool::Lane lane) noexcept {
  std::string problem;
  std::unique_ptr<Link> link = connector_->Connect(time_->Now() + kConnectNs, &problem);
  if (link == nullptr) {
    SetProblem(problem.empty() ? "no memory" : problem);
    return false;
  }
  pool_.Add(lane, std::move(link));
  return true;
}

void RemoteClient::Remove() noexcept {
  std::vector<std::string> keys;
  {
    const MutexLock lock(&mutex_);
    keys.swap(removals_);
  }
  if (keys.empty()) return;
  const std::uint64_t deadline = time_->Now() + kRemoveNs;
  LinkPool::Taken taken = pool_.Take(LinkPool::kSmall, time_->Now());
  // Busy: what is damaged is found damaged again, and removed then.
  if (taken.link == nullptr) return;
  Judge(LinkPool::kSmall, std::move(taken),
        [&](Link* link) { return link->Delete(keys.data(), keys.size(), deadline); });
}

void RemoteClient::Run() noexcept {
  pthread_setname_np(pthread_self(), "actcache-remote");
  while (!stopping_.load(std::memory_order_acquire)) {
    const std::uint64_t next = Step();
    pool_.AwaitWork(next, breaker_.closed());
  }
  breaker_.Failed(time_->Now());
  pool_.Clear();
}

std::string RemoteClient::problem() const {
  const MutexLock lock(&mutex_);
  return problem_;
}

void RemoteClient::SetProblem(const std::string& problem) noexcept {
  const MutexLock lock(&mutex_);
  try {
    problem_ = problem;
  } catch (...) {
  }
}

void RemoteClient::LockForFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  mutex_.Lock();
  pool_.LockForFork();
  breaker_.LockForFork();
  connector_->LockForFork();
}

void RemoteClient::UnlockOwn() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  breaker_.UnlockAfterFork();
  pool_.UnlockAfterFork();
  mutex_.Unlock();
}

void RemoteClient::UnlockAfterFork() noexcept {
  connector_->UnlockAfterFork();
  UnlockOwn();
}

// REQUIRES, which the analysis cannot see: LockForFork(), and no other thread.
void RemoteClient::AbandonInForkedChild() noexcept {
  connector_->UnlockAfterFork();
  pool_.AbandonInForkedChild();
}

void RemoteClient::CloseInForkedChild() noexcept {
  breaker_.OpenForEver();
  first_probe_over_.store(true, std::memory_order_release);
  UnlockOwn();
}

}  // namespace actcache
