// The time that deadlines and waits of a remote tier are measured with, so that a test can make its
// own.
#ifndef ACTCACHE_TIER_REMOTE_TIME_SOURCE_H_
#define ACTCACHE_TIER_REMOTE_TIME_SOURCE_H_

#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"

namespace actcache {

// Thread-safe.
class TimeSource {
 public:
  virtual ~TimeSource() = default;

  // Nanoseconds; never goes back.
  virtual std::uint64_t Now() const noexcept = 0;

  // Lets go of the mutex, waits until `until_ns` or until the condition is notified, and takes the
  // mutex again. May return early.
  virtual void Wait(Condition* condition, Mutex* mutex, std::uint64_t until_ns) noexcept
      ACTCACHE_REQUIRES(mutex) = 0;
};

class SteadyTime final : public TimeSource {
 public:
  std::uint64_t Now() const noexcept override { return SteadyNow(); }

  void Wait(Condition* condition, Mutex* mutex, std::uint64_t until_ns) noexcept override
      ACTCACHE_REQUIRES(mutex) {
    constexpr std::uint64_t kLongestNs = 3'600'000'000'000;  // no overflow on the way
    const std::uint64_t now = Now();
    if (until_ns <= now) return;
    condition->WaitFor(mutex, until_ns - now < kLongestNs ? until_ns - now : kLongestNs);
  }
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_TIME_SOURCE_H_
