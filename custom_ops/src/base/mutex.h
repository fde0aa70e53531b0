// A mutex that clang's thread-safety analysis understands (-Wthread-safety). Other compilers see
// a plain std::mutex. And a condition variable that goes with it.
#ifndef ACTCACHE_BASE_MUTEX_H_
#define ACTCACHE_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#if defined(__clang__)
#define ACTCACHE_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define ACTCACHE_THREAD_ANNOTATION(x)
#endif

#define ACTCACHE_CAPABILITY(name) ACTCACHE_THREAD_ANNOTATION(capability(name))
#define ACTCACHE_SCOPED_CAPABILITY ACTCACHE_THREAD_ANNOTATION(scoped_lockable)
// On data: read and written only while the mutex is held.
#define ACTCACHE_GUARDED_BY(mutex) ACTCACHE_THREAD_ANNOTATION(guarded_by(mutex))
// On functions: the caller holds, or must not hold, the mutex.
#define ACTCACHE_REQUIRES(...) ACTCACHE_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define ACTCACHE_EXCLUDES(...) ACTCACHE_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACTCACHE_ACQUIRE(...) ACTCACHE_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define ACTCACHE_TRY_ACQUIRE(...) ACTCACHE_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define ACTCACHE_RELEASE(...) ACTCACHE_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define ACTCACHE_ASSERT_HELD(...) ACTCACHE_THREAD_ANNOTATION(assert_capability(__VA_ARGS__))
#define ACTCACHE_NO_THREAD_SAFETY_ANALYSIS ACTCACHE_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace actcache {

class ACTCACHE_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Tries for about as long as our short critical sections take before it sleeps: waking up costs
  // more than most of them.
  void Lock() noexcept ACTCACHE_ACQUIRE() {
    for (int tries = 0; tries < kTries; ++tries) {
      if (mutex_.try_lock()) return;
      Pause();
    }
    mutex_.lock();
  }
  // False, at once, where another thread holds it.
  bool TryLock() noexcept ACTCACHE_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  void Unlock() noexcept ACTCACHE_RELEASE() { mutex_.unlock(); }

  // For lambdas that run while their maker holds the mutex: the analysis does not follow them.
  // REQUIRES: it is held.
  void AssertHeld() const noexcept ACTCACHE_ASSERT_HELD(this) {}

 private:
  friend class Condition;

  static constexpr int kTries = 32;

  // Tells the processor that this is a waiting loop.
  static void Pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::mutex mutex_;
};

// Holds a mutex for the length of a scope.
class ACTCACHE_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) noexcept ACTCACHE_ACQUIRE(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ACTCACHE_RELEASE() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Where threads wait for a change of what a mutex guards.
class Condition {
 public:
  Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // Lets go of the mutex, waits for NotifyAll() but not longer than `timeout_ns`, and takes the
  // mutex again. May return early: look at what is waited for. Always the same mutex.
  void WaitFor(Mutex* mutex, std::uint64_t timeout_ns) noexcept ACTCACHE_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait_for(lock, std::chrono::nanoseconds(timeout_ns));
    lock.release();  // stays locked
  }
  void NotifyAll() noexcept { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace actcache

#endif  // ACTCACHE_BASE_MUTEX_H_
