// The store's only way to get memory: never throwing, and able to fail on purpose.
#ifndef ACTCACHE_BASE_MEMORY_H_
#define ACTCACHE_BASE_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace actcache {

// What Allocate() guarantees; enough for every scalar type.
inline constexpr std::size_t kAlignment = 16;

// Rounds up to a multiple of `alignment`, a power of two. REQUIRES: the result fits.
constexpr std::size_t AlignUp(std::size_t bytes, std::size_t alignment) noexcept {
  return (bytes + alignment - 1) & ~(alignment - 1);
}

// Uninitialised memory, or null. The caller owns it and gives it back with Free(). Thread-safe.
void* Allocate(std::size_t bytes) noexcept;
void Free(void* memory) noexcept;

// Memory for a block that may be large. From kPooledBytes on it comes from the pool (block_pool.h),
// if that has any and there is no sanitizer, which would see nothing of what is wrong inside of a
// pool.
struct Block {
  void* memory;  // null: there is none
  bool pooled;
};
inline constexpr std::size_t kPooledBytes = std::size_t{1} << 10;
// As Allocate() and Free(). Of a block that is given back, both fields as they were.
Block AllocateBlock(std::size_t bytes) noexcept;
void FreeBlock(Block block) noexcept;

// Gives memory that was freed back to the system, where the pool or the C library keeps it. Takes a
// while.
void ReturnFreeMemory() noexcept;

// What an allocation takes from the heap or from the pool: both put 8 bytes before it and round up
// to 16.
constexpr std::size_t AllocationFootprint(std::size_t bytes) noexcept {
  return AlignUp(bytes + 8, 16);
}

// Tests only: the `nth` call of Allocate() from now (1 = the next one) returns null, and so does
// every later one until this is called again; 0 ends it. Thread-safe.
void FailAllocationsFromForTest(std::uint64_t nth) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_BASE_MEMORY_H_
