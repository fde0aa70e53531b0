// The one object of its kind that a process has, for kinds that change all the time.
#ifndef ACTCACHE_BASE_PROCESS_OBJECT_H_
#define ACTCACHE_BASE_PROCESS_OBJECT_H_

#include <atomic>
#include <cstddef>
#include <new>

namespace actcache {

// In its own memory, and the object is never destroyed: threads may still use it while the process
// exits. After fork() the object may be locked, or half written, by threads that the child does not
// have; so the child makes a new one (host/fork.h). There are two places: a child makes its
// object in the one that its parent's does not occupy, and a child of that child reuses the first,
// to which nothing can refer any more.
template <typename T>
class ProcessObject {
 public:
  template <typename... Arguments>
  explicit ProcessObject(Arguments... arguments) noexcept {
    Replace(arguments...);
  }
  ProcessObject(const ProcessObject&) = delete;
  ProcessObject& operator=(const ProcessObject&) = delete;

  T& get() const noexcept { return *current_.load(std::memory_order_relaxed); }

  // Abandons the object and makes a new one. REQUIRES: no other thread uses either.
  template <typename... Arguments>
  void Replace(Arguments... arguments) noexcept {
    current_.store(new (memory_[next_]) T(arguments...), std::memory_order_relaxed);
    next_ = 1 - next_;
  }

 private:
  alignas(T) unsigned char memory_[2][sizeof(T)];
  std::size_t next_ = 0;
  std::atomic<T*> current_{nullptr};
};

}  // namespace actcache

#endif  // ACTCACHE_BASE_PROCESS_OBJECT_H_
