#include "failing_new.h"

#include <cstdlib>
#include <new>

#include "ops_fake_runtime.h"

namespace actcache::testing_support {
namespace {

struct CallPlan {
  std::uint64_t left = 0;  // allocations until the next one fails; 0: none will
  bool onwards = false;
  bool failed = false;
};
thread_local CallPlan plan;

bool FailsNow() noexcept {
  if (plan.left == 0 || fake::runtime_depth > 0) return false;
  if (--plan.left > 0) return false;
  if (plan.onwards) plan.left = 1;
  plan.failed = true;
  return true;
}

void* New(std::size_t bytes, std::size_t alignment) noexcept {
  if (FailsNow()) return nullptr;
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* NewOrThrow(std::size_t bytes, std::size_t alignment) {
  void* const memory = New(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

constexpr std::size_t kDefault = alignof(std::max_align_t);

}  // namespace

FailingNew::FailingNew(std::uint64_t nth, bool onwards) { plan = {nth, onwards, false}; }
FailingNew::~FailingNew() { plan = {}; }
bool FailingNew::failed() const { return plan.failed; }

}  // namespace actcache::testing_support

using actcache::testing_support::kDefault;
using actcache::testing_support::New;
using actcache::testing_support::NewOrThrow;

void* operator new(std::size_t bytes) { return NewOrThrow(bytes, kDefault); }
void* operator new[](std::size_t bytes) { return NewOrThrow(bytes, kDefault); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return New(bytes, kDefault);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return New(bytes, kDefault);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return NewOrThrow(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return NewOrThrow(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
