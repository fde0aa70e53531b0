// Store: the one of the process.
#include <atomic>
#include <new>

#include "store/store.h"

namespace actcache {
namespace {

// In static memory and never destroyed: threads may still use it while the process exits. Two
// places: a forked child makes its store in the one that its parent's does not occupy. A child of
// that child reuses the first, which then nobody can refer to any more.
class ProcessStore {
 public:
  ProcessStore() noexcept { Replace(); }

  Store& get() const noexcept { return *current_.load(std::memory_order_relaxed); }

  void Replace() noexcept {
    current_.store(new (memory_[next_]) Store(Store::kDefaultBudget), std::memory_order_relaxed);
    next_ = 1 - next_;
  }

 private:
  alignas(Store) unsigned char memory_[2][sizeof(Store)];
  std::size_t next_ = 0;
  std::atomic<Store*> current_{nullptr};
};

ProcessStore& TheProcessStore() noexcept {
  static ProcessStore store;
  return store;
}

}  // namespace

Store& Store::Process() noexcept { return TheProcessStore().get(); }

void Store::ReplaceProcessStore() noexcept { TheProcessStore().Replace(); }

}  // namespace actcache
