// Keeps calls away from a server that does not answer.
//
//   closed     calls ask the server. One that gets no answer in time, or a broken connection, opens
//              the breaker.
//   open       calls do not ask; they see it in one atomic load. After a wait that grows with each
//              failure (backoff.h) the background thread may probe the server.
//   half-open  the probe is under way; calls do not ask. It closes the breaker, or opens it again.
//
// A probe that succeeds does not make the next wait short again, only a call that was answered
// does: a server that greets at once and answers nothing else is left alone for longer and longer.
#ifndef ACTCACHE_TIER_REMOTE_CIRCUIT_BREAKER_H_
#define ACTCACHE_TIER_REMOTE_CIRCUIT_BREAKER_H_

#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "tier/remote/backoff.h"

namespace actcache {

// Thread-safe; nothing throws. Begins open, with a probe that is due at once: nothing is known of
// the server yet. Times are nanoseconds of one clock, which is the caller's.
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };

  // Of the first wait, at most: an answer that was late because the machine was busy costs little.
  static constexpr std::uint64_t kFirstWaitNs = 10'000'000;

  explicit CircuitBreaker(std::uint64_t seed) : backoff_(seed, kFirstWaitNs) {}

  State state() const noexcept { return state_.load(std::memory_order_acquire); }
  bool closed() const noexcept { return state() == State::kClosed; }

  // A call was answered.
  void Succeeded() noexcept {
    // Nothing to forget, nearly always.
    if (failed_.load(std::memory_order_relaxed)) Forget();
  }

  // A call was not. Nothing if the breaker is not closed: what was asked before it opened says
  // nothing new.
  void Failed(std::uint64_t now_ns) noexcept;

  // Whether the caller, the background thread, is to probe the server now. It then says
  // ProbeEnded().
  bool BeginProbe(std::uint64_t now_ns) noexcept;
  void ProbeEnded(bool answered, std::uint64_t now_ns) noexcept;

  // When BeginProbe() will be true; kNever while the breaker is closed or a probe is under way.
  std::uint64_t probe_at_ns() const noexcept {
    return probe_at_ns_.load(std::memory_order_acquire);
  }
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  // REQUIRES: nobody says ProbeEnded() afterwards.
  void OpenForEver() noexcept {
    probe_at_ns_.store(kNever, std::memory_order_release);
    state_.store(State::kOpen, std::memory_order_release);
  }

  // For host/fork.h.
  void LockForFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Lock(); }
  void UnlockAfterFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Unlock(); }

 private:
  void Forget() noexcept;
  void Open(std::uint64_t now_ns) noexcept ACTCACHE_REQUIRES(mutex_);
  void Become(State state) noexcept ACTCACHE_REQUIRES(mutex_) {
    state_.store(state, std::memory_order_release);
  }

  std::atomic<State> state_{State::kOpen};     // written under the mutex
  std::atomic<bool> failed_{false};            // since the last call that was answered; likewise
  std::atomic<std::uint64_t> probe_at_ns_{0};  // likewise
  Mutex mutex_;
  Backoff backoff_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_CIRCUIT_BREAKER_H_
