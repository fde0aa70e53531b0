// Whether a thread of this process works or has gone idle.
//
// onnxruntime tells nobody that a Run was given up between two operators. But a thread that was
// computing and now sleeps, without having used any processor time for a while, computes no more.
#ifndef ACTCACHE_FLIGHT_THREAD_ACTIVITY_H_
#define ACTCACHE_FLIGHT_THREAD_ACTIVITY_H_

#include <cstdint>

namespace actcache {

// The system's number of a thread. It may be given to another thread once its own has ended, which
// is why whoever relies on one of them has to learn of the end otherwise.
struct ThreadId {
  std::int32_t number = 0;
};

// Cheap after the first call of a thread.
ThreadId CurrentThread() noexcept;
// In a forked child the thread has another number.
void RenumberForkedThread() noexcept;

// Watches one thread from another. For one watching thread.
class IdleWatch {
 public:
  IdleWatch(ThreadId thread, std::uint64_t window_ns) noexcept
      : thread_(thread), window_ns_(window_ns) {}

  // To be called from time to time; `now_ns` is SteadyNow(). True if the thread sleeps now and no
  // call of the last window saw it use processor time. False whenever that is not known: before a
  // window has passed, for a thread that is ready to run or waits for a disk, for one that has
  // ended, where the system does not say. Costs a system call or two, some microseconds at most.
  bool Idle(std::uint64_t now_ns) noexcept;

 private:
  const ThreadId thread_;
  const std::uint64_t window_ns_;
  std::uint64_t cpu_ns_ = 0;
  std::uint64_t unchanged_since_ns_ = 0;  // 0: not looked yet
};

}  // namespace actcache

#endif  // ACTCACHE_FLIGHT_THREAD_ACTIVITY_H_
