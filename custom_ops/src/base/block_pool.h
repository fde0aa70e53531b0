// Memory for blocks that are kept, out of a few mappings that the system may back by huge pages.
//
// The system finds memory when it is used for the first time, page by page, and that takes several
// times as long as the copy for whose sake it is used. So a block of malloc's, mapped for itself
// and given back when it is freed, is the dearest place that a large result can be kept in. Here
//   - mappings are aligned to huge pages (2 MiB) and ask for them: where the system has them, it is
//     asked once for 512 pages;
//   - what is freed is kept and used again. What was used before comes first: the smallest free
//     block that is large enough, by classes an eighth of an octave wide;
//   - free neighbours become one block.
//
// Memory that is free goes back to the system, in whole pages, when ReturnFree() is called, and
// when a new mapping is needed though more than an eighth of what is there is free. So besides what
// is in use, about an eighth of it and 8 MiB are held at most, and parts of pages.
//
// A block is 8 bytes larger than what it is used for, rounded up to a multiple of 16, as one of
// glibc's (AllocationFootprint()). Like there, what describes a free block lies in the block
// itself, and its size is repeated behind its end, where the next block says whether it has to be
// looked at.
#ifndef ACTCACHE_BASE_BLOCK_POOL_H_
#define ACTCACHE_BASE_BLOCK_POOL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"

namespace actcache {

// Thread-safe.
class BlockPool {
 public:
  // One of the process. Blocks of a parent must not be freed in its child, which has a new pool.
  static BlockPool& Process() noexcept;
  // What host/fork.h does. REQUIRES: no other thread.
  static void ReplaceInForkedChild() noexcept;

  BlockPool() = default;
  // REQUIRES: all blocks are free.
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Uninitialised memory, a multiple of 16 bytes from address 0; null: there is none. The caller
  // owns it and gives it back with Free().
  void* Allocate(std::size_t bytes) noexcept;
  void Free(void* memory) noexcept;

  // Gives whole pages that are free back to the system. Takes as long as there are free blocks.
  void ReturnFree() noexcept;

  // Bytes of all blocks in use, and of all mappings.
  std::size_t held() const noexcept;
  std::size_t mapped() const noexcept;

 private:
  struct Header;
  static constexpr std::size_t kBins = 512;  // 64 octaves of eight

  void* AllocateLocked(std::size_t size) noexcept ACTCACHE_REQUIRES(mutex_);
  // A free block of at least this size, taken out of its bin; null: there is none.
  Header* TakeFit(std::size_t size) noexcept ACTCACHE_REQUIRES(mutex_);
  // A new mapping, as one free block in no bin; null: the system gives none.
  Header* Map(std::size_t size) noexcept ACTCACHE_REQUIRES(mutex_);
  void ReturnFreeLocked() noexcept ACTCACHE_REQUIRES(mutex_);
  // Into its bin, and out of it.
  void Link(Header* block) noexcept ACTCACHE_REQUIRES(mutex_);
  void Unlink(Header* block) noexcept ACTCACHE_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::size_t held_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::size_t mapped_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  // Free blocks by size, the one that was freed last first, and which bins have any.
  std::array<Header*, kBins> bins_ ACTCACHE_GUARDED_BY(mutex_){};
  std::array<std::uint64_t, kBins / 64> filled_ ACTCACHE_GUARDED_BY(mutex_){};
};

}  // namespace actcache

#endif  // ACTCACHE_BASE_BLOCK_POOL_H_
