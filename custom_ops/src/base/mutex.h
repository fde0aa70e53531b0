// A mutex that clang's thread-safety analysis understands (-Wthread-safety). Other compilers see
// a plain std::mutex.
#ifndef ACTCACHE_BASE_MUTEX_H_
#define ACTCACHE_BASE_MUTEX_H_

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
// On mutexes: the order in which they are taken.
#define ACTCACHE_ACQUIRED_BEFORE(...) ACTCACHE_THREAD_ANNOTATION(acquired_before(__VA_ARGS__))

namespace actcache {

class ACTCACHE_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() noexcept ACTCACHE_ACQUIRE() { mutex_.lock(); }
  // False, at once, where another thread holds it.
  bool TryLock() noexcept ACTCACHE_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  void Unlock() noexcept ACTCACHE_RELEASE() { mutex_.unlock(); }

 private:
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

}  // namespace actcache

#endif  // ACTCACHE_BASE_MUTEX_H_
