#include "base/block_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/memory.h"
#include "base/process_object.h"

namespace actcache {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLeastMapping = std::size_t{8} << 20;
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

// A mapping begins with a header, and ends with what would be the next one.
constexpr std::size_t kHeaderBytes = 16;
// Of a free block: its header and its neighbours in its bin.
constexpr std::size_t kLeastBlock = 32;

// Of the share of free memory that a new mapping does not wait for.
constexpr std::size_t kFreeShare = 8;
// Less than this is not given back by itself: a call of the system takes as long as to use it anew.
constexpr std::size_t kLeastReturned = std::size_t{16} << 10;

// Blocks of one bin that are looked at: in it some are smaller than what is wanted.
constexpr int kTries = 16;

constexpr std::size_t kFree = 1;
constexpr std::size_t kAfterFree = 2;  // the block before it is free, and its size is known
constexpr std::size_t kFirst = 4;      // of its mapping
constexpr std::size_t kLast = 8;
constexpr std::size_t kFlags = 15;

// By octaves, each of eight. Sizes grow with bins.
std::size_t BinOf(std::size_t size) noexcept {
  const auto octave = static_cast<std::size_t>(63 - __builtin_clzll(size));
  return 8 * octave + ((size >> (octave - 3)) & 7);
}

ProcessObject<BlockPool>& ProcessPool() noexcept {
  static ProcessObject<BlockPool> pool;
  return pool;
}

// Memory of the system, `bytes` from a huge page's start; null: there is none.
std::byte* MapAligned(std::size_t bytes) noexcept {
  void* const mapping =
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(mapping);
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t before = AlignUp(address, kHugePage) - address;
  if (before > 0) munmap(begin, before);
  munmap(begin + before + bytes, kHugePage - before);
#if defined(MADV_HUGEPAGE)
  madvise(begin + before, bytes, MADV_HUGEPAGE);  // where it has none, pages are small
#endif
  return begin + before;
}

}  // namespace

// What stands before a block. The first field is the end of the block before it, unless that one is
// free; next and previous are those of a free block.
struct BlockPool::Header {
  std::size_t size_before;
  std::size_t size_and_flags;
  Header* next;
  Header* previous;

  std::size_t size() const noexcept { return size_and_flags & ~kFlags; }
  bool Is(std::size_t flag) const noexcept { return (size_and_flags & flag) != 0; }
  std::byte* bytes() noexcept { return reinterpret_cast<std::byte*>(this); }
  void* payload() noexcept { return bytes() + kHeaderBytes; }
  static Header* Of(void* payload) noexcept {
    return reinterpret_cast<Header*>(static_cast<std::byte*>(payload) - kHeaderBytes);
  }
  // REQUIRES: it is not the last; the block before it is free.
  Header* Next() noexcept { return reinterpret_cast<Header*>(bytes() + size()); }
  Header* Before() noexcept { return reinterpret_cast<Header*>(bytes() - size_before); }

  // Takes the next block, which is in no bin, in.
  void Merge() noexcept {
    const Header& other = *Next();
    size_and_flags = (size_and_flags & ~kLast) + other.size() + (other.size_and_flags & kLast);
  }
  // Leaves `wanted` bytes, and makes a block of the rest.
  Header* Split(std::size_t wanted) noexcept {
    const std::size_t rest = size() - wanted;
    const std::size_t last = size_and_flags & kLast;
    size_and_flags = wanted + (size_and_flags & (kFlags & ~kLast));
    Header* const block = Next();
    block->size_and_flags = rest + last;
    return block;
  }
  void SetFree(bool free) noexcept {
    size_and_flags = free ? size_and_flags | kFree : size_and_flags & ~kFree;
    if (Is(kLast)) return;
    Header* const after = Next();
    if (free) {
      after->size_before = size();
      after->size_and_flags |= kAfterFree;
    } else {
      after->size_and_flags &= ~kAfterFree;
    }
  }
  // Gives back those of its pages that hold nothing of the block's own.
  void ReturnPages() noexcept {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(this);
    const std::uintptr_t first = AlignUp(begin + sizeof(Header), page);
    const std::uintptr_t end = (begin + size()) & ~(page - 1);
    if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
  }
};

BlockPool& BlockPool::Process() noexcept { return ProcessPool().get(); }
void BlockPool::ReplaceInForkedChild() noexcept { ProcessPool().Replace(); }

BlockPool::~BlockPool() { ReturnFree(); }

void* BlockPool::Allocate(std::size_t bytes) noexcept {
  static_assert(sizeof(Header) == kLeastBlock, "what a free block holds");
  if (bytes > kMostBytes) return nullptr;
  const MutexLock lock(&mutex_);
  return AllocateLocked(std::max(AllocationFootprint(bytes), kLeastBlock));
}

void* BlockPool::AllocateLocked(std::size_t size) noexcept {
  Header* block = TakeFit(size);
  if (block == nullptr) {
    if (mapped_ - held_ > held_ / kFreeShare + kLeastMapping) ReturnFreeLocked();
    block = Map(size);
  }
  if (block == nullptr) return nullptr;
  if (block->size() - size >= kLeastBlock) {
    Header* const rest = block->Split(size);
    rest->SetFree(true);
    Link(rest);
  }
  block->SetFree(false);
  held_ += block->size();
  return block->payload();
}

void BlockPool::Free(void* memory) noexcept {
  Header* block = Header::Of(memory);
  const MutexLock lock(&mutex_);
  held_ -= block->size();
  if (!block->Is(kLast) && block->Next()->Is(kFree)) {
    Unlink(block->Next());
    block->Merge();
  }
  if (block->Is(kAfterFree)) {
    block = block->Before();
    Unlink(block);
    block->Merge();
  }
  block->SetFree(true);
  Link(block);
}

BlockPool::Header* BlockPool::TakeFit(std::size_t size) noexcept {
  const std::size_t bin = BinOf(size);
  Header* block = bins_[bin];
  for (int tries = 1; block != nullptr && block->size() < size; ++tries) {
    block = tries < kTries ? block->next : nullptr;
  }
  // All blocks of larger bins will do.
  std::size_t word = (bin + 1) / 64;
  for (std::size_t from = (bin + 1) % 64; block == nullptr && word < filled_.size(); ++word) {
    const std::uint64_t filled = filled_[word] & (~std::uint64_t{0} << from);
    from = 0;
    if (filled != 0) block = bins_[64 * word + static_cast<std::size_t>(__builtin_ctzll(filled))];
  }
  if (block != nullptr) Unlink(block);
  return block;
}

BlockPool::Header* BlockPool::Map(std::size_t size) noexcept {
  const std::size_t bytes = std::max(AlignUp(size + kHeaderBytes, kHugePage), kLeastMapping);
  std::byte* const mapping = MapAligned(bytes);
  if (mapping == nullptr) return nullptr;
  mapped_ += bytes;
  auto* const block = reinterpret_cast<Header*>(mapping);
  block->size_and_flags = (bytes - kHeaderBytes) | kFirst | kLast;
  return block;
}

void BlockPool::ReturnFree() noexcept {
  const MutexLock lock(&mutex_);
  ReturnFreeLocked();
}

void BlockPool::ReturnFreeLocked() noexcept {
  for (std::size_t bin = BinOf(kLeastReturned); bin < kBins; ++bin) {
    for (Header* block = bins_[bin]; block != nullptr;) {
      Header* const next = block->next;
      if (block->Is(kFirst) && block->Is(kLast)) {
        Unlink(block);
        const std::size_t bytes = block->size() + kHeaderBytes;
        mapped_ -= bytes;
        munmap(block, bytes);
      } else {
        block->ReturnPages();
      }
      block = next;
    }
  }
}

void BlockPool::Link(Header* block) noexcept {
  const std::size_t bin = BinOf(block->size());
  block->next = bins_[bin];
  block->previous = nullptr;
  if (block->next != nullptr) block->next->previous = block;
  bins_[bin] = block;
  filled_[bin / 64] |= std::uint64_t{1} << (bin % 64);
}

void BlockPool::Unlink(Header* block) noexcept {
  const std::size_t bin = BinOf(block->size());
  if (block->next != nullptr) block->next->previous = block->previous;
  if (block->previous != nullptr) {
    block->previous->next = block->next;
    return;
  }
  bins_[bin] = block->next;
  if (bins_[bin] == nullptr) filled_[bin / 64] &= ~(std::uint64_t{1} << (bin % 64));
}

std::size_t BlockPool::held() const noexcept {
  const MutexLock lock(&mutex_);
  return held_;
}

std::size_t BlockPool::mapped() const noexcept {
  const MutexLock lock(&mutex_);
  return mapped_;
}

}  // namespace actcache
