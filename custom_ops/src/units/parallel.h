// Runs independent pieces of a kernel call on onnxruntime's intra-op threads.
#ifndef ACTCACHE_UNITS_PARALLEL_H_
#define ACTCACHE_UNITS_PARALLEL_H_

#include <algorithm>
#include <cstddef>
#include <memory>

#include "abi/runtime.h"

namespace actcache {

// Below this many bytes to hash (100 µs or so), waking threads costs more than it saves: 50 µs for
// one that sleeps, and milliseconds on a machine whose processors are all busy.
inline constexpr std::size_t kParallelBytes = std::size_t{512} * 1024;

// What one task should be worth, so that many small rows become few tasks.
inline constexpr std::size_t kTaskBytes = std::size_t{64} * 1024;

class Parallel {
 public:
  // Runs everything on the calling thread.
  Parallel() = default;
  // Uses the thread pool of the session. The context must outlive this object.
  Parallel(const ort::Api* api, const ort::KernelContext* context) : api_(api), context_(context) {}

  // Calls body(i) once for each i < count, in any order, on any threads, and returns when all are
  // done. `bytes` is the total work. REQUIRES: `body` does not throw and uses no KernelIo.
  template <typename Body>
  void For(std::size_t count, std::size_t bytes, const Body& body) const {
    if (context_ == nullptr || bytes < kParallelBytes || count < 2) {
      for (std::size_t i = 0; i < count; ++i) body(i);
      return;
    }
    const std::size_t tasks = std::min(count, std::max<std::size_t>(2, bytes / kTaskBytes));
    const Share<Body> share{&body, count, tasks};
    ort::Call(api_, ort::slot::KernelContext_ParallelFor, context_, &Share<Body>::Run, tasks,
              std::size_t{0}, static_cast<void*>(const_cast<Share<Body>*>(&share)));
  }

 private:
  template <typename Body>
  struct Share {
    const Body* body;
    std::size_t count;
    std::size_t tasks;

    static void Run(void* self, std::size_t task) {
      const auto& share = *static_cast<const Share*>(self);
      const std::size_t end = share.count * (task + 1) / share.tasks;
      for (std::size_t i = share.count * task / share.tasks; i < end; ++i) (*share.body)(i);
    }
  };

  const ort::Api* api_ = nullptr;
  const ort::KernelContext* context_ = nullptr;
};

}  // namespace actcache

#endif  // ACTCACHE_UNITS_PARALLEL_H_
