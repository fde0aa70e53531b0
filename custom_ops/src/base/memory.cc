#include "base/memory.h"

#include <atomic>
#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/block_pool.h"
#include "base/sanitized.h"

namespace actcache {
namespace {

// 0: never fail. n: n - 1 more calls succeed. kFailing: all fail.
constexpr std::uint64_t kFailing = 1;
std::atomic<std::uint64_t> fail_from{0};

bool FailsOnPurpose() noexcept {
  std::uint64_t left = fail_from.load(std::memory_order_relaxed);
  if (left == 0) return false;
  while (left > kFailing &&
         !fail_from.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) {
  }
  return left == kFailing;
}

}  // namespace

void* Allocate(std::size_t bytes) noexcept {
  static_assert(alignof(std::max_align_t) >= kAlignment, "malloc aligns to it");
  return FailsOnPurpose() ? nullptr : std::malloc(bytes);
}

void Free(void* memory) noexcept { std::free(memory); }

Block AllocateBlock(std::size_t bytes) noexcept {
  if (!kSanitized && bytes >= kPooledBytes && !FailsOnPurpose()) {
    void* const memory = BlockPool::Process().Allocate(bytes);
    if (memory != nullptr) return {memory, true};
  }
  return {Allocate(bytes), false};
}

void FreeBlock(Block block) noexcept {
  block.pooled ? BlockPool::Process().Free(block.memory) : Free(block.memory);
}

void ReturnFreeMemory() noexcept {
  BlockPool::Process().ReturnFree();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

void FailAllocationsFromForTest(std::uint64_t nth) noexcept {
  fail_from.store(nth, std::memory_order_relaxed);
}

}  // namespace actcache
