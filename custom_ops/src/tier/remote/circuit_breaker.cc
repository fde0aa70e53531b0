#include "tier/remote/circuit_breaker.h"

namespace actcache {

void CircuitBreaker::Forget() noexcept {
  const MutexLock lock(&mutex_);
  backoff_.Reset();
  failed_.store(false, std::memory_order_relaxed);
}

void CircuitBreaker::Failed(std::uint64_t now_ns) noexcept {
  const MutexLock lock(&mutex_);
  if (state() == State::kClosed) Open(now_ns);
}

bool CircuitBreaker::BeginProbe(std::uint64_t now_ns) noexcept {
  const MutexLock lock(&mutex_);
  if (state() != State::kOpen || now_ns < probe_at_ns()) return false;
  probe_at_ns_.store(kNever, std::memory_order_release);
  Become(State::kHalfOpen);
  return true;
}

void CircuitBreaker::ProbeEnded(bool answered, std::uint64_t now_ns) noexcept {
  const MutexLock lock(&mutex_);
  if (state() != State::kHalfOpen) return;
  if (answered) {
    Become(State::kClosed);
  } else {
    Open(now_ns);
  }
}

void CircuitBreaker::Open(std::uint64_t now_ns) noexcept {
  failed_.store(true, std::memory_order_relaxed);
  probe_at_ns_.store(now_ns + backoff_.Next(), std::memory_order_release);
  Become(State::kOpen);
}

}  // namespace actcache
